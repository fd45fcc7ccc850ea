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

{{- /* Where kooperd reads the config that it follows, as for --config. */ -}}
{{- define "kooperd.configSource" -}}
{{- printf "configmap:%s/%s" .Release.Namespace (include "kooperd.configMapName" .) -}}
{{- end -}}

{{- /* The ConfigMaps that kooperd follows, as JSON: that of this version, and those of pods that run now. */ -}}
{{- define "kooperd.followed" -}}
{{- $names := list -}}
{{- if .Values.reload }}{{ $names = append $names (include "kooperd.configMapName" .) }}{{ end -}}
{{- range (include "kooperd.running" . | fromJson).items -}}
{{- $names = concat $names .followed -}}
{{- end -}}
{{- dict "names" ($names | uniq | sortAlpha) | toJson -}}
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
