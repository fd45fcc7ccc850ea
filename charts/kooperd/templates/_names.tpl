{{- /* The name of the release's objects. */ -}}
{{- define "kooperd.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* The name of what stands beside those of other namespaces: a namespace has no dots, so no other release has it. */ -}}
{{- define "kooperd.clusterName" -}}
{{- printf "%s.%s" (include "kooperd.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "kooperd.selectorLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: daemon
{{- end -}}

{{- /* Labels of every object but the pods, which must not start anew for another version of the chart alone. */ -}}
{{- define "kooperd.labels" -}}
{{ include "kooperd.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kooperd.image" -}}
{{- .Values.image | default (printf "kooperd:%s" .Chart.AppVersion) -}}
{{- end -}}

{{- define "kooperd.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "kooperd.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "kooperd.leaseName" -}}
{{- .Values.leaderElection.name | default (include "kooperd.fullname" .) -}}
{{- end -}}

{{- define "kooperd.leaseNamespace" -}}
{{- .Values.leaderElection.namespace | default .Release.Namespace -}}
{{- end -}}

{{- define "kooperd.configMapName" -}}
{{- .Values.existingConfigMap | default (printf "%s-config" (include "kooperd.fullname" .)) -}}
{{- end -}}

{{- /* The service account as a subject, for bindings. */ -}}
{{- define "kooperd.subjects" -}}
- kind: ServiceAccount
  name: {{ include "kooperd.serviceAccountName" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end -}}
