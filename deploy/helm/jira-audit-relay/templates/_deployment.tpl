{{/* A deployment. Takes root, component, instance (empty, or the name of a consumer), service (its values), args, groups. */}}
{{- define "relay.deployment" -}}
{{- $scaled := ne (dig "autoscaling" "kind" "none" .service) "none" }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "relay.name" .root }}-{{ .component }}{{ with .instance }}-{{ . }}{{ end }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "relay.labels" . | nindent 4 }}
spec:
  {{- if not $scaled }}
  replicas: {{ .service.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      {{- include "relay.selector" . | nindent 6 }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  template:
    metadata:
      labels:
        {{- include "relay.labels" . | nindent 8 }}
        {{- with mergeOverwrite dict (.root.Values.podLabels | default dict) (.service.podLabels | default dict) }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with mergeOverwrite dict (.root.Values.podAnnotations | default dict) (.service.podAnnotations | default dict) }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- include "relay.placement" . | nindent 6 }}
      serviceAccountName: {{ include "relay.account" . }}
      terminationGracePeriodSeconds: {{ .root.Values.terminationGracePeriodSeconds }}
      topologySpreadConstraints:
        {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
        - maxSkew: 1
          topologyKey: {{ . }}
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "relay.selector" $ | nindent 14 }}
          matchLabelKeys: [pod-template-hash]
        {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "relay.image" .root | quote }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          args: {{ toJson .args }}
          env:
            {{- include "relay.env" (mergeOverwrite (dict "env" (concat (.env | default list) (.service.env | default list))) (omit . "env")) | nindent 12 }}
          ports:
            - {name: telemetry, containerPort: 9464}
            {{- if eq .component "console" }}
            - {name: http, containerPort: 8080}
            {{- end }}
          # /healthz says that the event loop answers, and nothing about Kafka: a pod that waits for Kafka is never killed.
          startupProbe:
            httpGet: {path: /healthz, port: telemetry}
            periodSeconds: 2
            timeoutSeconds: 5
            failureThreshold: 90
          livenessProbe:
            httpGet: {path: /healthz, port: telemetry}
            periodSeconds: 20
            timeoutSeconds: 10
            failureThreshold: 6
          # /readyz holds back a rolling upgrade until the new pod works for its shards or destinations.
          readinessProbe:
            httpGet: {path: /readyz, port: telemetry}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          resources:
            {{- toYaml .service.resources | nindent 12 }}
          securityContext:
            {{- include "relay.containerSecurity" .root | nindent 12 }}
          volumeMounts:
            {{- include "relay.mounts" . | nindent 12 }}
      volumes:
        {{- include "relay.volumes" . | nindent 8 }}
{{- end }}

{{/* The service account and the disruption budget of a service. Takes what relay.deployment takes. */}}
{{- define "relay.account-object" -}}
{{- if and .service.serviceAccount.create (not .service.serviceAccount.name) }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "relay.account" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "relay.labels" . | nindent 4 }}
  {{- with .service.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end }}
{{- end }}

{{- define "relay.budget" -}}
{{- if .root.Values.podDisruptionBudget.enabled }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "relay.name" .root }}-{{ .component }}{{ with .instance }}-{{ . }}{{ end }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "relay.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "relay.selector" . | nindent 6 }}
{{- end }}
{{- end }}
