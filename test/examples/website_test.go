package examples_test

// isReady and published are conditions of a Website.
const (
	isReady   = `{.status.conditions[?(@.type=="Ready")].status}`
	published = `{.status.conditions[?(@.type=="Published")].message}`
)

var websiteLife = life{
	parents: map[string][]string{"website": {"Website default/home"}},
	steps: []step{
		{
			name:  "create",
			apply: "objects.yaml",
			children: objects{
				"ConfigMap default/home-page":          {`{.data.index\.html}`: "<h1>Hello</h1>"},
				"Deployment default/home":              {"{.spec.replicas}": "2"},
				"Service default/home":                 nil,
				"Ingress default/home-www.example.com": {"{.spec.rules[0].host}": "www.example.com"},
			},
			others: objects{"Website default/home": {isReady: "False", published: "at www.example.com"}},
		},
		{
			name: "change",
			patch: map[string]string{
				"Website default/home": `{"spec": {"html": "<h1>Welcome</h1>", "replicas": 0, "hosts": ["a.example.com", "b.example.com"]}}`,
			},
			children: objects{
				"ConfigMap default/home-page":        {`{.data.index\.html}`: "<h1>Welcome</h1>"},
				"Deployment default/home":            {"{.spec.replicas}": "0"},
				"Service default/home":               nil,
				"Ingress default/home-a.example.com": nil,
				"Ingress default/home-b.example.com": nil,
			},
			others: objects{"Website default/home": {isReady: "True", published: "at a.example.com, b.example.com"}},
		},
		{
			name: "changes by hand",
			patch: map[string]string{
				"Deployment default/home":     `{"spec": {"replicas": 7}}`,
				"ConfigMap default/home-page": `{"data": {"index.html": "defaced"}}`,
			},
			remove: []string{"Service default/home", "Ingress default/home-a.example.com"},
			children: objects{
				"ConfigMap default/home-page":        {`{.data.index\.html}`: "<h1>Welcome</h1>"},
				"Deployment default/home":            {"{.spec.replicas}": "0"},
				"Service default/home":               nil,
				"Ingress default/home-a.example.com": nil,
				"Ingress default/home-b.example.com": nil,
			},
			others: objects{"Website default/home": {isReady: "True"}},
		},
		{
			name:   "delete",
			remove: []string{"Website default/home"},
			gone:   []string{"Website default/home"},
		},
	},
}
