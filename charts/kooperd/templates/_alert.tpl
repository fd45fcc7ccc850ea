{{- /* What selects the metrics of this release in PromQL. The operator of Prometheus names a job after the Service. */ -}}
{{- define "kooperd.metricsSelector" -}}
{{- .Values.metrics.prometheusRule.selector | default (printf "job=%q, namespace=%q" (printf "%s-metrics" (include "kooperd.fullname" .)) .Release.Namespace) -}}
{{- end -}}

{{- /* One alert, of a dict of root and its rule in files/alerts.yaml; an empty object if it is switched off. */ -}}
{{- define "kooperd.alert" -}}
{{- $values := .root.Values.metrics.prometheusRule -}}
{{- $own := index $values.alerts .rule.alert | default dict -}}
{{- $expr := .rule.expr | replace "job=\"kooperd\"" (include "kooperd.metricsSelector" .root) -}}
{{- $on := ternary $own.enabled (ne .rule.alert "KooperdParentNotReady") (hasKey $own "enabled") -}}
{{- if eq .rule.alert "KooperdReplicaMissing" -}}
{{- $expr = regexReplaceAll "< 2$" $expr (printf "< %d" (int .root.Values.replicas)) -}}
{{- $on = and $on (gt (int .root.Values.replicas) 1) -}}
{{- end -}}
{{- $labels := mergeOverwrite dict $values.alertLabels .rule.labels -}}
{{- with $own.severity }}{{ $_ := set $labels "severity" . }}{{ end -}}
{{- $annotations := .rule.annotations -}}
{{- with $values.runbookURL -}}
{{- $_ := set $annotations "runbook_url" (printf "%s#%s" . (lower $.rule.alert)) -}}
{{- $annotations = omit $annotations "runbook" -}}
{{- end -}}
{{- $rule := dict "alert" .rule.alert "expr" $expr "for" ($own.for | default .rule.for) "labels" $labels "annotations" $annotations -}}
{{- ternary $rule dict $on | toYaml -}}
{{- end -}}
