{{/* What scales a consumer by the lag of its destinations. Takes what relay.deployment takes. */}}
{{- define "relay.autoscaler" -}}
{{- $scaling := .service.autoscaling }}
{{- $name := printf "%s-consumer-%s" (include "relay.name" .root) .instance }}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}{{ fail (printf "consumers.%s.autoscaling: minReplicas is above maxReplicas." .instance) }}{{ end }}
{{- if eq $scaling.kind "hpa" }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "relay.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ $name }}}
  minReplicas: {{ $scaling.minReplicas }}
  maxReplicas: {{ $scaling.maxReplicas }}
  behavior:
    scaleDown: {stabilizationWindowSeconds: {{ $scaling.scaleDownSeconds }}}
  metrics:
    {{- range .service.destinations }}
    - type: External
      external:
        metric:
          name: {{ $scaling.hpa.metricName }}
          selector: {matchLabels: {destination: {{ . | quote }}}}
        target: {type: AverageValue, averageValue: {{ $scaling.lagEvents | int64 | toString | quote }}}
    {{- end }}
{{- else if eq $scaling.kind "keda" }}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "relay.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ $name }}}
  minReplicaCount: {{ $scaling.minReplicas }}
  maxReplicaCount: {{ $scaling.maxReplicas }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown: {stabilizationWindowSeconds: {{ $scaling.scaleDownSeconds }}}
  triggers:
    {{- range .service.destinations }}
    - type: prometheus
      metricType: AverageValue
      metadata:
        serverAddress: {{ required "consumer.autoscaling.keda.serverAddress is needed: the URL of Prometheus." $scaling.keda.serverAddress }}
        query: sum(jira_relay_consumer_lag_events{namespace="{{ $.root.Release.Namespace }}", destination="{{ . }}"})
        threshold: {{ $scaling.lagEvents | int64 | toString | quote }}
      {{- with $scaling.keda.authenticationRef }}
      authenticationRef: {name: {{ . }}}
      {{- end }}
    {{- end }}
{{- end }}
{{- end }}
