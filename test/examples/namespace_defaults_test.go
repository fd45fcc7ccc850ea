package examples_test

// hardPods is how many pods a quota allows, and group is for whom rights are.
const (
	hardPods = "{.spec.hard.pods}"
	group    = "{.subjects[0].name}"
)

// defaultsOf are what a Namespace has, with its quota and its rights.
func defaultsOf(all objects, namespace string, quota, rights fields) objects {
	return objects{
		"ResourceQuota " + namespace + "/defaults":     quota,
		"LimitRange " + namespace + "/defaults":        {"{.spec.limits[0].defaultRequest.cpu}": "250m"},
		"NetworkPolicy " + namespace + "/default-deny": {"{.spec.policyTypes[0]}": "Ingress"},
		"ServiceAccount " + namespace + "/deployer":    nil,
		"RoleBinding " + namespace + "/defaults":       rights,
		"ConfigMap " + namespace + "/defaults":         nil,
	}.with(all)
}

var namespaceDefaultsLife = life{
	parents: map[string][]string{"defaults": {"Namespace orders", "Namespace reports"}},
	steps: []step{
		{
			name:  "create",
			apply: "objects.yaml",
			children: defaultsOf(
				defaultsOf(nil, "reports", fields{hardPods: "20"}, fields{group: "company:finance"}),
				"orders", fields{hardPods: "10", `{.spec.hard.requests\.cpu}`: "2"}, fields{group: "company:shop"},
			),
		},
		{
			name: "change",
			patch: map[string]string{
				"Namespace orders":  `{"metadata": {"annotations": {"defaults.example.com/pods": null}}}`,
				"Namespace reports": `{"metadata": {"annotations": {"defaults.example.com/pods": "50"}, "labels": {"defaults.example.com/team": "audit"}}}`,
			},
			children: defaultsOf(
				defaultsOf(nil, "reports", fields{hardPods: "50"}, fields{group: "company:audit"}),
				"orders", fields{hardPods: "20"}, fields{group: "company:shop"},
			),
		},
		{
			name: "changes by hand",
			patch: map[string]string{
				"ResourceQuota orders/defaults": `{"spec": {"hard": {"pods": "1000"}}}`,
				"RoleBinding reports/defaults":  `{"subjects": []}`,
			},
			remove: []string{"NetworkPolicy orders/default-deny", "ServiceAccount reports/deployer"},
			children: defaultsOf(
				defaultsOf(nil, "reports", fields{hardPods: "50"}, fields{group: "company:audit"}),
				"orders", fields{hardPods: "20"}, fields{group: "company:shop"},
			),
		},
		{
			name:     "leave",
			patch:    map[string]string{"Namespace reports": `{"metadata": {"annotations": null, "labels": {"defaults.example.com/team": null}}}`},
			left:     []string{"Namespace reports"},
			children: defaultsOf(nil, "orders", fields{hardPods: "20"}, fields{group: "company:shop"}),
		},
		{
			name:   "delete",
			remove: []string{"Namespace orders"},
			gone:   []string{"Namespace orders"},
		},
	},
}
