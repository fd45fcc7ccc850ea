{{- /* The user's files, by name. */ -}}
{{- define "kooperd.configData" -}}
{{- if .Values.configFiles -}}
{{ toYaml .Values.configFiles }}
{{- else -}}
{{ dict "controllers.yaml" (toYaml .Values.config) | toYaml }}
{{- end -}}
{{- end -}}

{{- /* The lease as kooperd is told it: a file that is unified with the user's, so that one of them that names another lease,
for which there would be no rights, is a conflict that kooperd tells with both places. */ -}}
{{- define "kooperd.leaderElectionFile" -}}
{{- if .Values.leaderElection.enabled -}}
leaderElection:
  name: {{ include "kooperd.leaseName" . | quote }}
  namespace: {{ include "kooperd.leaseNamespace" . | quote }}
  {{- range $key := list "leaseDuration" "renewDeadline" "retryPeriod" "onLost" "lock" }}
  {{- with index $.Values.leaderElection $key }}
  {{ $key }}: {{ . | quote }}
  {{- end }}
  {{- end }}
{{- else -}}
leaderElection: disabled
{{- end -}}
{{- end -}}

{{- /* Changes when the config does. Of a ConfigMap that somebody else makes, only an installation knows the contents. */ -}}
{{- define "kooperd.configChecksum" -}}
{{- $data := "" -}}
{{- if .Values.existingConfigMap -}}
{{- $found := lookup "v1" "ConfigMap" .Release.Namespace .Values.existingConfigMap -}}
{{- $data = toJson (list (dig "data" dict $found) (dig "binaryData" dict $found)) -}}
{{- else -}}
{{- $data = include "kooperd.configData" . -}}
{{- end -}}
{{- printf "%s\n%s" $data (include "kooperd.leaderElectionFile" .) | sha256sum -}}
{{- end -}}
