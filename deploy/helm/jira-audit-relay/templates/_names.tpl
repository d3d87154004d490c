{{- define "relay.name" -}}
{{ .Values.nameOverride | default .Release.Name | trunc 30 | trimSuffix "-" }}
{{- end }}

{{/* Labels that select the pods of one deployment. Takes root, component and instance. */}}
{{- define "relay.selector" -}}
app.kubernetes.io/name: jira-audit-relay
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .instance }}
jira-relay/consumer: {{ . }}
{{- end }}
{{- end }}

{{- define "relay.labels" -}}
{{ include "relay.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | replace "+" "_" | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "relay.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{/* Name of the service account of a service. Takes root, component, instance and service (its values). */}}
{{- define "relay.account" -}}
{{- if .service.serviceAccount.name }}{{ .service.serviceAccount.name }}
{{- else if .service.serviceAccount.create }}{{ include "relay.name" .root }}-{{ .component }}{{ if .service.ownAccount }}-{{ .instance }}{{ end }}
{{- else }}default
{{- end }}
{{- end }}

{{/*
Consumers by name, each with the values of `consumer` that it does not replace, as JSON. An entry without destinations has
those that no other entry names; one with a serviceAccount has its own.
*/}}
{{- define "relay.consumers" -}}
{{- $all := keys (.Values.settings.destinations | default dict) | sortAlpha }}
{{- $rest := $all }}
{{- $open := list }}
{{- range $name, $entry := .Values.consumers }}
{{- if not $entry.destinations }}{{ $open = append $open $name }}{{ end }}
{{- range $entry.destinations }}
{{- if not (has . $all) }}{{ fail (printf "consumers.%s names the destination %s, which settings.destinations does not have." $name .) }}{{ end }}
{{- if not (has . $rest) }}{{ fail (printf "The destination %s is in two entries of consumers: keep one of them." .) }}{{ end }}
{{- $rest = without $rest . }}
{{- end }}
{{- end }}
{{- if gt (len $open) 1 }}{{ fail (printf "consumers.%s name no destinations: only one entry can have the rest." (join " and consumers." $open)) }}{{ end }}
{{- if and $rest (not $open) }}{{ fail (printf "No entry of consumers has the destinations %s." (join ", " $rest)) }}{{ end }}
{{- $found := dict }}
{{- range $name, $entry := .Values.consumers }}
{{- $names := $entry.destinations | default $rest }}
{{- if $names }}
{{- $_ := set $found $name (mergeOverwrite (deepCopy $.Values.consumer) (deepCopy $entry) (dict "destinations" $names "ownAccount" (hasKey $entry "serviceAccount"))) }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}
