package compose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
)

func ignoring(child handlers.Child, paths ...string) handlers.Child {
	child.Policy.Ignore = paths
	return child
}

const ignoreTree = `{
	"metadata": {"name": "a", "labels": {"app": "web"}, "annotations": {"example.com/a.b": "x", "keep": "y"}},
	"spec": {"replicas": 3, "args": ["a"], "containers": [
		{"name": "web", "image": "nginx", "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 81}]},
		{"name": "log", "image": "log"}]}
}`

func TestIgnoredPaths(t *testing.T) {
	for path, want := range map[string]string{ // what is not in the tree any more
		"spec.replicas":  `"replicas": 3, `,
		".spec.replicas": `"replicas": 3, `,
		"spec.args":      `"args": ["a"], `,
		`metadata.annotations["example.com/a.b"]`:                            `"example.com/a.b": "x", `,
		"metadata.labels.app":                                                `, "labels": {"app": "web"}`,
		"spec.containers[name=log]":                                          ",\n\t\t{\"name\": \"log\", \"image\": \"log\"}",
		`spec.containers[name="log"].image`:                                  `, "image": "log"`,
		`spec.containers[name="web"].ports[containerPort=80,protocol="TCP"]`: `{"containerPort": 80, "protocol": "TCP"}, `,
		"spec.containers[name=other].image":                                  "",
		"spec.absent.below":                                                  "",
		"spec.args.below":                                                    "",
	} {
		parsed, err := parseIgnored(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		tree := treeFrom(t, ignoreTree)
		parsed.cut(tree)
		if diff := cmp.Diff(treeFrom(t, strings.Replace(ignoreTree, want, "", 1)), tree); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestIgnoredPathsThatAreNone(t *testing.T) {
	for path, want := range map[string]string{
		"": "want a path", ".": "want a path", "spec.": "want a path", "spec..x": "want a path", "spec[": "want a path", "spec[]": "want a path",
		"[name=web]": "want a path", "spec[web]": "want a path", "spec[=web]": "want a path", "apiVersion": "keeps that field", "kind": "keeps that field",
		"metadata": "keeps that field", "metadata.name": "keeps that field", "metadata.labels": "keeps that field", "metadata.ownerReferences": "keeps that field",
		`metadata.labels["kooperd.dev/parent-uid"]`: "keeps that field", `metadata.annotations["kooperd.dev/applied"]`: "keeps that field",
	} {
		if _, err := parseIgnored(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", path, err, want)
		}
		if _, err := makerFor(website).make(ignoring(page, path)); err == nil {
			t.Errorf("%q: there is no error", path)
		}
	}
}

func TestPlanOfIgnored(t *testing.T) {
	both := configMap("page", map[string]any{"html": "hello", "more": "x"})
	scaled := handlers.Child{Object: untyped(deploymentKind, "", "server", map[string]any{"spec": map[string]any{"replicas": int64(3), "paused": true}})}
	unscaled := handlers.Child{Object: untyped(deploymentKind, "", "server", map[string]any{"spec": map[string]any{"paused": true}})}
	serverID := idOf(deploymentKind, "team-a", "server")
	scale := func(n int64) func(*cluster) {
		return func(c *cluster) {
			c.edit(serverID, "autoscaler", func(tree map[string]any) { object(tree, "spec")["replicas"] = n })
		}
	}
	runPlans(t, map[string]planCase{
		"made": {
			made: pages(ignoring(both, "data.more")), desired: pages(ignoring(both, "data.more")),
			want: []string{"handOver Released ConfigMap team-a/page: .data.more"},
		},
		"made before": {
			made: pages(both), desired: pages(ignoring(both, "data.more")),
			want: []string{"handOver Released ConfigMap team-a/page: .data.more"},
		},
		"set by another": {
			made: pages(ignoring(both, "data.more")), desired: pages(ignoring(both, "data.more")),
			others: func(c *cluster) { c.edit(pageID, "kubectl", withData("more", "theirs")) },
			want:   []string{"skip Current ConfigMap team-a/page"},
		},
		"wanted otherwise": {
			made: pages(ignoring(both, "data.more")), desired: pages(ignoring(configMap("page", map[string]any{"html": "hello", "more": "z"}), "data.more")),
			others: func(c *cluster) { c.edit(pageID, "kubectl", withData("more", "theirs")) },
			want:   []string{"skip Current ConfigMap team-a/page"},
		},
		"another field in drift": {
			made: pages(ignoring(both, "data.more")), desired: pages(ignoring(both, "data.more")),
			others: func(c *cluster) {
				c.edit(pageID, "kubectl", withData("more", "theirs"))
				c.edit(pageID, "kubectl", withData("html", "theirs"))
			},
			want: []string{"apply Drift ConfigMap team-a/page: .data.html"},
		},
		"replicas that are ours": {
			made: pages(scaled), desired: pages(unscaled),
			want: []string{"handOver Released Deployment team-a/server: .spec.replicas"},
		},
		"replicas that an autoscaler has set": {
			made: pages(scaled), desired: pages(unscaled), others: scale(5),
			want: []string{"apply Changed Deployment team-a/server"},
		},
		"create only, made": {
			made: pages(withUpdate(handlers.UpdateCreateOnly, page)), desired: pages(withUpdate(handlers.UpdateCreateOnly, both)),
			others: func(c *cluster) { c.edit(pageID, "kubectl", withData("html", "theirs")) },
			want:   []string{"skip Current ConfigMap team-a/page"},
		},
		"create only, made before": {
			made: pages(page), desired: pages(withUpdate(handlers.UpdateCreateOnly, both)),
			want: []string{"handOver Released ConfigMap team-a/page: .data.html"},
		},
		"create only, without its mark": {
			made: pages(withUpdate(handlers.UpdateCreateOnly, page)), desired: pages(withUpdate(handlers.UpdateCreateOnly, page)),
			others: func(c *cluster) { c.edit(pageID, "kubectl", labelled(DefinitionLabel, "")) },
			want:   []string{"handOver Released ConfigMap team-a/page: .data.html"},
		},
		"create only, not any more": {
			made: pages(withUpdate(handlers.UpdateCreateOnly, page)), desired: pages(page),
			want: []string{"apply Changed ConfigMap team-a/page"},
		},
	})
}

// TestHandOver leaves fields to others, and then applies the rest: they keep their values.
func TestHandOver(t *testing.T) {
	both := configMap("page", map[string]any{"html": "hello", "more": "x"})
	for name, tc := range map[string]struct{ before, now, later handlers.Child }{
		"ignored":     {before: both, now: ignoring(both, "data.more"), later: ignoring(configMap("page", map[string]any{"html": "hello"}), "data.more")},
		"create only": {before: both, now: withUpdate(handlers.UpdateCreateOnly, page), later: withUpdate(handlers.UpdateCreateOnly, page)},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster()
			for _, child := range []handlers.Child{tc.before, tc.now, tc.later} {
				desired := desire(t, website, child)
				for range 3 {
					ops := Plan(Input{
						Installation: installation, Definition: definition, Parent: website, Desired: desired, Observed: c.observed(t, website, desired),
					})
					if err := c.execute(ops); err != nil {
						t.Fatal(err)
					}
				}
			}
			if diff := cmp.Diff(map[string]any{"html": "hello", "more": "x"}, c.objects[pageID].tree["data"]); diff != "" {
				t.Errorf("data (-want +got):\n%s", diff)
			}
			if _, ok := c.objects[pageID].managers[CreateManager]; !ok {
				t.Errorf("managers are %v", c.objects[pageID].managers)
			}
		})
	}
}
