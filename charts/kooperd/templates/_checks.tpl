{{- /* Refuses values that cannot work, naming them. What one value alone can be is in values.schema.json. */ -}}
{{- define "kooperd.check" -}}
{{- include "kooperd.checkConfig" . -}}
{{- if not .Values.image -}}
{{- fail "\n\nkooperd has no image. Set the value image to one that your cluster can pull: \"make image\" builds it, and docs/image.md of kooperd says how it gets into a registry\n" -}}
{{- end -}}
{{- include "kooperd.checkElection" . -}}
{{- include "kooperd.checkReload" . -}}
{{- include "kooperd.checkFence" . -}}
{{- if and .Values.profiling (not (and .Values.metrics.enabled .Values.metrics.authenticate)) -}}
{{- fail "\n\nprofiling gives the memory of the process away: it needs metrics.enabled and metrics.authenticate\n" -}}
{{- end -}}
{{- if and .Values.metrics.enabled (eq (int .Values.metrics.port) (int .Values.healthPort)) -}}
{{- fail (printf "\n\nmetrics.port and healthPort are both %d: give one of them another port\n" (int .Values.healthPort)) -}}
{{- end -}}
{{- include "kooperd.checkMetadata" . -}}
{{- include "kooperd.checkRunning" . -}}
{{- end -}}

{{- /* What the chart itself sets, which would stand there twice. */ -}}
{{- define "kooperd.checkMetadata" -}}
{{- $selector := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" -}}
{{- $common := concat $selector (list "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" "kooperd.dev/part") -}}
{{- $annotations := list "kubectl.kubernetes.io/default-container" "kooperd.dev/chart" "kooperd.dev/works-under" "kooperd.dev/config-checksum" -}}
{{- range $value, $taken := dict "podLabels" $selector "commonLabels" $common "podAnnotations" $annotations -}}
{{- range $key, $_ := index $.Values $value -}}
{{- if has $key $taken -}}
{{- fail (printf "\n\n%s cannot set %s: the chart sets it\n" $value $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kooperd.checkConfig" -}}
{{- $given := 0 -}}
{{- range list .Values.config .Values.configFiles .Values.existingConfigMap -}}
{{- if . }}{{ $given = add1 $given }}{{ end -}}
{{- end -}}
{{- if eq (int $given) 0 -}}
{{- fail "\n\nkooperd has no config. Set one of these values:\n  config             the config itself, as YAML\n  configFiles        its files: --set-file 'configFiles.controllers\\.cue=controllers.cue'\n  existingConfigMap  the name of a ConfigMap with its files\n" -}}
{{- else if gt (int $given) 1 -}}
{{- fail "\n\nonly one of the values config, configFiles and existingConfigMap can be set\n" -}}
{{- end -}}
{{- include "kooperd.checkKeys" (dict "at" "config" "value" .Values.config) -}}
{{- if hasKey .Values.config "leaderElection" -}}
{{- fail "\n\nthe value config.leaderElection cannot be set: the lease is that of the values leaderElection.*, for which the chart grants the rights\n" -}}
{{- end -}}
{{- end -}}

{{- /* Helm reads YAML 1.1, in which on, off, yes, no, y and n are true and false, also as keys. As values of another type than
wanted they are refused by values.schema.json; a key is a string by the time it is seen here. */ -}}
{{- define "kooperd.checkKeys" -}}
{{- $at := .at -}}
{{- if kindIs "map" .value -}}
{{- range $key, $below := .value -}}
{{- if has $key (list "true" "false" "null") -}}
{{- fail (printf "\n\n%s has the key %s. Helm takes on, yes and y for true, off, no and n for false, and ~ for null: write such a key in quotes, as in \"on\": …. A key that is %q itself can only stand in configFiles\n" $at $key $key) -}}
{{- end -}}
{{- include "kooperd.checkKeys" (dict "at" (printf "%s.%s" $at $key) "value" $below) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $below := .value -}}
{{- include "kooperd.checkKeys" (dict "at" (printf "%s[%d]" $at $index) "value" $below) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kooperd.checkElection" -}}
{{- $lease := ne .Values.leaderElection.lock "configMap" -}}
{{- if and (not .Values.leaderElection.enabled) (gt (int .Values.replicas) 1) -}}
{{- fail (printf "\n\nreplicas is %d and leaderElection.enabled is false: all of them would work at once; set replicas to 1\n" (int .Values.replicas)) -}}
{{- end -}}
{{- if and .Values.rbac.composers .Values.leaderElection.enabled (gt (len (include "kooperd.leaseName" .)) 241) -}}
{{- fail (printf "\n\nleaderElection.name has %d characters: with rbac.composers it can have 241, because the ConfigMap beside the lease has a longer name\n" (len (include "kooperd.leaseName" .))) -}}
{{- end -}}
{{- if and .Values.flowSchema.enabled (not (and .Values.leaderElection.enabled $lease)) -}}
{{- fail "\n\nflowSchema.enabled needs a lease: leaderElection.enabled, and leaderElection.lock other than configMap\n" -}}
{{- end -}}
{{- end -}}

{{- /* A changed config is a rollout or a reload, and never both. */ -}}
{{- define "kooperd.checkReload" -}}
{{- range .Values.extraArgs -}}
{{- if regexMatch "^--reload(=|$)" . -}}
{{- fail (printf "\n\nextraArgs cannot set %s: set the value reload, by which the chart gives kooperd the config as well\n" .) -}}
{{- end -}}
{{- end -}}
{{- $config := include "kooperd.configMapName" . -}}
{{- if and .Values.reload (eq .Values.leaderElection.lock "configMap") (eq (include "kooperd.leaseNamespace" .) .Release.Namespace) (has (include "kooperd.leaseName" .) (list $config (printf "%s-accepted" $config))) -}}
{{- fail (printf "\n\nthe lock would be the ConfigMap %s, in which reload keeps the config: give leaderElection.name another name\n" (include "kooperd.leaseName" .)) -}}
{{- end -}}
{{- end -}}

{{- /* Not empty for a definition of which the fence would refuse what it writes: it runs on every replica. The handler "log" writes
nothing, and without a finalizer nothing is written for it. */ -}}
{{- define "kooperd.writesEverywhere" -}}
{{- if and (kindIs "map" .) (eq (dig "leaderElection" "" . | toString) "disabled") -}}
{{- $handler := dig "handler" dict . -}}
{{- if or (hasKey . "finalizer") (not (kindIs "map" $handler)) (ne (keys $handler | join " ") "log") -}}
true
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kooperd.checkFence" -}}
{{- if .Values.fence.enabled -}}
{{- if or (not .Values.leaderElection.enabled) (eq .Values.leaderElection.lock "configMap") -}}
{{- fail "\n\nfence.enabled needs a lease: leaderElection.enabled, and leaderElection.lock other than configMap\n" -}}
{{- end -}}
{{- if eq (include "kooperd.serviceAccountName" .) "default" -}}
{{- fail "\n\nfence.enabled needs a service account that belongs to kooperd alone: set serviceAccount.create or serviceAccount.name\n" -}}
{{- end -}}
{{- range $name, $controller := dig "controllers" dict .Values.config -}}
{{- if include "kooperd.writesEverywhere" $controller -}}
{{- fail (printf "\n\nfence.enabled would refuse what config.controllers.%s writes, because its leaderElection is \"disabled\" and it runs on every replica: give it a release of its own\n" $name) -}}
{{- end -}}
{{- end -}}
{{- range $file, $text := .Values.configFiles -}}
{{- if not (hasSuffix ".cue" $file) -}}
{{- range $name, $controller := dig "controllers" dict (fromYaml $text) -}}
{{- if include "kooperd.writesEverywhere" $controller -}}
{{- fail (printf "\n\nfence.enabled would refuse what %s of configFiles %q writes, because its leaderElection is \"disabled\" and it runs on every replica: give it a release of its own\n" $name $file) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
