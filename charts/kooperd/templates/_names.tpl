{{- /* The name of the release's objects. A release may have dots in its name, and a Service may not. The longest name with
this in it that has to be a label of DNS is that of the test's pod, with 61 characters. */ -}}
{{- define "kooperd.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | replace "." "-" | trunc 52 | trimAll "-" -}}
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

{{- define "kooperd.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "kooperd.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "kooperd.leaseName" -}}
{{- .Values.leaderElection.name | default (include "kooperd.fullname" .) -}}
{{- end -}}

{{- define "kooperd.leaseNamespace" -}}
{{- .Values.leaderElection.namespace | default .Release.Namespace -}}
{{- end -}}

{{- /* The ConfigMap in which kooperd notes what composers own, and its namespace. Without a lease it has kooperd's default name. */ -}}
{{- define "kooperd.definitionsName" -}}
{{- printf "%s-definitions" (ternary (include "kooperd.leaseName" .) "kooperd" .Values.leaderElection.enabled) -}}
{{- end -}}

{{- define "kooperd.definitionsNamespace" -}}
{{- ternary (include "kooperd.leaseNamespace" .) .Release.Namespace .Values.leaderElection.enabled -}}
{{- end -}}

{{- /* The ConfigMaps of the chart have a hash of what is in them in their names, so that each version of the pods has its own. The
one that kooperd follows always has the same name. */ -}}
{{- define "kooperd.configMapName" -}}
{{- if .Values.existingConfigMap -}}
{{- .Values.existingConfigMap -}}
{{- else if .Values.reload -}}
{{- printf "%s-config" (include "kooperd.fullname" .) -}}
{{- else -}}
{{- printf "%s-config-%s" (include "kooperd.fullname" .) (include "kooperd.configData" . | sha256sum | trunc 10) -}}
{{- end -}}
{{- end -}}

{{- define "kooperd.leaderElectionName" -}}
{{- printf "%s-leader-election-%s" (include "kooperd.fullname" .) (include "kooperd.leaderElectionFile" . | sha256sum | trunc 10) -}}
{{- end -}}

{{- /* The service account as a subject, for bindings. */ -}}
{{- define "kooperd.subjects" -}}
- kind: ServiceAccount
  name: {{ include "kooperd.serviceAccountName" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end -}}
