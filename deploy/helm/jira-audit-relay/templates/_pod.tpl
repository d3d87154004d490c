{{/* A value of a setting as its variable holds it: a text as it is, everything else as JSON. */}}
{{- define "relay.value" -}}
{{ if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end }}
{{- end }}

{{/*
Variables of a service, each once: the last of a name wins, since a server that applies them refuses a name that comes twice.
Takes root, component, groups (of settings) and env (a list of further variables).
*/}}
{{- define "relay.env" -}}
{{- $given := include "relay.given-env" . | fromYamlArray }}
{{- $last := dict }}
{{- range $given }}{{ $_ := set $last .name . }}{{ end }}
{{- $once := list }}
{{- range $given }}
{{- with get $last .name }}{{ $once = append $once . }}{{ end }}
{{- $_ := unset $last .name }}
{{- end }}
{{- toYaml $once }}
{{- end }}

{{- define "relay.given-env" -}}
- name: RELAY_TELEMETRY__LISTEN
  value: "0.0.0.0:9464"
{{- range $group := .groups }}
{{- range $name, $value := index $.root.Values.settings $group }}
{{- if eq $group "destinations" }}
{{- range $setting, $inner := $value }}
{{- if not (kindIs "invalid" $inner) }}
- name: RELAY_DESTINATIONS__{{ upper $name }}__{{ upper $setting }}
  value: {{ include "relay.value" $inner | quote }}
{{- end }}
{{- end }}
{{- else if not (kindIs "invalid" $value) }}
- name: RELAY_{{ upper $group }}__{{ upper $name }}
  value: {{ include "relay.value" $value | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $secret := .root.Values.secrets }}
{{- if and $secret (has $.component $secret.services) }}
{{- range $variable, $file := $secret.files }}
- name: {{ $variable }}
  value: /run/relay/{{ $name }}{{ with $file }}/{{ . }}{{ end }}
{{- end }}
{{- range $variable, $key := $secret.variables }}
- name: {{ $variable }}
  valueFrom: {secretKeyRef: {name: {{ $secret.secretName }}, key: {{ $key }}}}
{{- end }}
{{- end }}
{{- end }}
{{- if .root.Values.vault.serviceAccountToken }}
- name: RELAY_SECRET_STORES__VAULT_KUBERNETES_TOKEN_FILE
  value: /run/relay-vault/token
{{- end }}
{{- with concat (.root.Values.env | default list) .env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Volumes of a service: /tmp, the cache of schemas, and its secrets. Takes root and component. */}}
{{- define "relay.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 512Mi}
- name: home
  emptyDir: {sizeLimit: 64Mi}
{{- range $name, $secret := .root.Values.secrets }}
{{- if and $secret (has $.component $secret.services) $secret.files }}
- name: secret-{{ $name }}
  {{- if $secret.secretProviderClass }}
  csi:
    driver: secrets-store.csi.k8s.io
    readOnly: true
    volumeAttributes: {secretProviderClass: {{ $secret.secretProviderClass }}}
  {{- else if $secret.configMapName }}
  configMap: {name: {{ $secret.configMapName }}, defaultMode: 288}
  {{- else }}
  secret: {secretName: {{ $secret.secretName }}, defaultMode: 288}
  {{- end }}
{{- end }}
{{- end }}
{{- if .root.Values.vault.serviceAccountToken }}
- name: vault-token
  projected:
    sources:
      - serviceAccountToken: {path: token, audience: {{ .root.Values.vault.audience | quote }}, expirationSeconds: 3600}
{{- end }}
{{- end }}

{{- define "relay.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: home, mountPath: /var/lib/jira-relay}
{{- range $name, $secret := .root.Values.secrets }}
{{- if and $secret (has $.component $secret.services) $secret.files }}
- {name: secret-{{ $name }}, mountPath: /run/relay/{{ $name }}, readOnly: true}
{{- end }}
{{- end }}
{{- if .root.Values.vault.serviceAccountToken }}
- {name: vault-token, mountPath: /run/relay-vault, readOnly: true}
{{- end }}
{{- end }}

{{/* What the standard "restricted" of Pod Security asks for, and a root that is read-only. */}}
{{- define "relay.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.runAsUser }}
runAsUser: {{ int64 . }}
runAsGroup: {{ int64 . }}
fsGroup: {{ int64 . }}
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "relay.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What all pods have in common. Takes root. */}}
{{- define "relay.placement" -}}
enableServiceLinks: false
automountServiceAccountToken: false
securityContext:
  {{- include "relay.podSecurity" .root | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
