package examples_test

import (
	"fmt"
	"strings"

	"kooperd.dev/kooperd/pkg/compose"
)

// What a Team contributes to a Deployment.
const (
	contact      = `{.metadata.annotations.demo\.kooperd\.dev/contact}`
	costCenter   = `{.spec.template.metadata.labels.demo\.kooperd\.dev/cost-center}`
	nodePool     = "{.spec.template.spec.nodeSelector.pool}"
	runAsNonRoot = "{.spec.template.spec.securityContext.runAsNonRoot}"

	isDegraded  = `{.status.conditions[?(@.type=="Degraded")].status}`
	deployments = "{.status.deployments}"
)

// decorated is a Deployment with what a Team contributes, or without, and nothing else of that
// sort.
func decorated(who, pool string) fields {
	if who == "" {
		return fields{contact: "", costCenter: "", nodePool: pool, runAsNonRoot: ""}
	}
	return fields{contact: who, costCenter: "cc-4711", nodePool: pool, runAsNonRoot: "true"}
}

// withoutMark takes away the label by which an object is found that something is contributed to.
var withoutMark = fmt.Sprintf(`{"metadata": {"labels": {%q: null}}}`, compose.PatchedLabel(compose.Installation(leaseNamespace, "decorate")))

const shipping = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: shipping, namespace: default, labels: {team: payments}}
spec:
  selector: {matchLabels: {app: shipping}}
  template:
    metadata: {labels: {app: shipping}}
    spec: {containers: [{name: server, image: "registry.example/shipping:1.0.0"}]}
`

var decorateLife = life{
	parents: map[string][]string{"decorate": {"Team payments"}},
	steps: []step{
		{
			name:    "create",
			apply:   "objects.yaml",
			patched: []string{"Deployment default/checkout"},
			others: objects{
				"Deployment default/checkout": decorated("#team-payments", "general"),
				"Deployment default/ledger":   decorated("", "large"), // It has set one of these itself.
				"Team payments":               {isReady: "False", isDegraded: "True", deployments: "2"},
			},
			refused: true,
		},
		{
			name:    "another object, and one that gives up what it has set",
			apply:   shipping,
			patch:   map[string]string{"Deployment default/ledger": `{"spec": {"template": {"spec": {"nodeSelector": null}}}}`},
			patched: []string{"Deployment default/checkout", "Deployment default/ledger", "Deployment default/shipping"},
			others: objects{
				"Deployment default/checkout": decorated("#team-payments", "general"),
				"Deployment default/ledger":   decorated("#team-payments", "general"),
				"Deployment default/shipping": decorated("#team-payments", "general"),
				"Team payments":               {isReady: "True", isDegraded: "False", deployments: "3"},
			},
		},
		{
			name:    "change",
			patch:   map[string]string{"Team payments": `{"spec": {"contact": "#money", "nodeSelector": null}}`},
			patched: []string{"Deployment default/checkout", "Deployment default/ledger", "Deployment default/shipping"},
			others: objects{
				"Deployment default/checkout": decorated("#money", ""),
				"Deployment default/ledger":   decorated("#money", ""),
				"Deployment default/shipping": decorated("#money", ""),
				"Team payments":               {isReady: "True"},
			},
		},
		{
			name: "changes by hand",
			patch: map[string]string{
				"Deployment default/checkout": `{"metadata": {"annotations": {"demo.kooperd.dev/contact": null}}}`,
				"Deployment default/ledger":   withoutMark,
				"Deployment default/shipping": `{"spec": {"template": {"spec": {"nodeSelector": {"pool": "small"}, "securityContext": null}}}}`,
			},
			patched: []string{"Deployment default/checkout", "Deployment default/ledger", "Deployment default/shipping"},
			others: objects{
				"Deployment default/checkout": decorated("#money", ""),
				"Deployment default/ledger":   decorated("#money", ""),
				"Deployment default/shipping": decorated("#money", "small"),
				"Team payments":               {isReady: "True"},
			},
		},
		{
			name:    "leave",
			patch:   map[string]string{"Deployment default/checkout": `{"metadata": {"labels": {"team": null}}}`},
			remove:  []string{"Deployment default/shipping"},
			patched: []string{"Deployment default/ledger"},
			others: objects{
				"Deployment default/checkout": decorated("", ""),
				"Deployment default/ledger":   decorated("#money", ""),
				"Team payments":               {isReady: "True", deployments: "1"},
			},
			gone: []string{"Deployment default/shipping"},
		},
		{
			name:   "delete",
			remove: []string{"Team payments"},
			others: objects{"Deployment default/checkout": decorated("", ""), "Deployment default/ledger": decorated("", "")},
			gone:   []string{"Team payments"},
		},
		{
			name:   "nothing is left",
			remove: []string{"Deployment default/checkout", "Deployment default/ledger"},
			gone:   []string{"Deployment default/checkout", "Deployment default/ledger"},
		},
	},
}

// isContribution reports whether a field manager is that of what is contributed.
func isContribution(manager string) bool { return strings.HasPrefix(manager, compose.FieldManager+"/") }
