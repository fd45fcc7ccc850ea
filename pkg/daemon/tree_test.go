package daemon

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/kinds"
)

func TestParseTreeParent(t *testing.T) {
	for text, want := range map[string]treeParent{
		"website/team-a/shop":             {kind: "website", namespace: "team-a", name: "shop"},
		"Websites.example.com/team-a/a.b": {kind: "Websites.example.com", namespace: "team-a", name: "a.b"},
		"ns/team-a":                       {kind: "ns", name: "team-a"},
		"clusterrole/system:node":         {kind: "clusterrole", name: "system:node"},
	} {
		if got, err := parseTreeParent(text); err != nil || got != want {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                         "want KIND/NAMESPACE/NAME",
		"website":                  "want KIND/NAMESPACE/NAME",
		"website/team-a/shop/more": "want KIND/NAMESPACE/NAME",
		"website//shop":            "has an empty namespace",
		"website/team-a/":          "has no kind or no name",
		"/team-a/shop":             "has no kind or no name",
		"website/team-a/..":        `".." may not be '..'`,
		"website/a%b/shop":         `"a%b" may not contain '%'`,
	} {
		if got, err := parseTreeParent(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %+v, %v, want an error with %q", text, got, err, want)
		}
	}
}

func TestTreeParentHasTheScopeOfItsKind(t *testing.T) {
	website, node := kinds.Resource{Kind: "Website", Namespaced: true}, kinds.Resource{Kind: "Node"}
	for _, tc := range []struct {
		parent   treeParent
		resource kinds.Resource
		want     string
	}{
		{treeParent{"website", "team-a", "shop"}, website, ""},
		{treeParent{"website", "", "shop"}, website, "a Website is in a namespace: want website/NAMESPACE/shop"},
		{treeParent{"node", "", "n1"}, node, ""},
		{treeParent{"node", "team-a", "n1"}, node, "a Node is in no namespace: want node/n1"},
	} {
		if err := tc.parent.check(tc.resource); (err == nil) != (tc.want == "") || err != nil && err.Error() != tc.want {
			t.Errorf("%+v: %v, want %q", tc.parent, err, tc.want)
		}
	}
}

func TestWriteTree(t *testing.T) {
	ref := func(kind, namespace, name string) compose.ObjectRef {
		return compose.ObjectRef{Kind: kind, Namespace: namespace, Name: name}
	}
	child := func(r compose.ObjectRef, state compose.Health, why string) *compose.Member {
		return &compose.Member{ObjectRef: r, State: state, Why: why,
			MemberMarks: compose.MemberMarks{Definition: "sites", Installation: "i0", Proven: true}}
	}
	page := child(ref("ConfigMap", "team-a", "page"), compose.HealthReady, "")
	page.Managers = []compose.OtherManager{
		{Manager: "rival", Fields: []string{"data.a", "data.b", "data.c"}, More: 4}, {Manager: "kubelet", Subresource: "status", Fields: []string{"status"}},
	}
	part := child(ref("Widget", "team-a", "part"), compose.HealthProgressing, "it waits\nfor \x1b[31mmore")
	cycle := child(ref("Website", "team-a", "shop"), compose.HealthReady, "")
	cycle.Cycle = true
	below := child(ref("Secret", "team-a", "below"), compose.HealthReady, "")
	part.Children = []*compose.Member{below, cycle}
	copied := child(ref("ConfigMap", "other", "copied"), compose.HealthReady, "")
	copied.Proven = false
	root := &compose.Member{
		ObjectRef: ref("Website", "team-a", "shop"), State: compose.HealthProgressing, Why: "soon", Paused: true,
		Finalizers: []string{"i0.kooperd.dev/sites"}, Ready: &compose.ReadyCondition{Status: "False", Reason: "NotReady", Message: "soon"},
		Children: []*compose.Member{part, page, copied},
		Patches: []*compose.MemberPatch{{
			ObjectRef: ref("ConfigMap", "other", "shared"), State: compose.HealthDeleting, Why: "it is being deleted", Definition: "sites",
			Installation: "i0", Fields: []string{"data.shop", "data.url"}, Managers: []compose.OtherManager{{Manager: "owner", Fields: []string{"data.own"}}},
		}},
	}
	var out strings.Builder
	if err := writeTree(&out, root); err != nil {
		t.Fatal(err)
	}
	want := `Ready: False, NotReady: soon
Finalizer: i0.kooperd.dev/sites
Paused: the annotation kooperd.dev/paused is true

OBJECT                      STATE         DEFINITION   INSTALLATION   OTHER MANAGERS                                              WHY
Website team-a/shop         Progressing                                                                                           soon
├─ Widget team-a/part       Progressing   sites        i0                                                                         it waits for  [31mmore
│  ├─ Secret team-a/below   Ready         sites        i0
│  └─ Website team-a/shop   Ready         sites        i0                                                                         it stands in the tree already
├─ ConfigMap team-a/page    Ready         sites        i0             rival: data.a, data.b, data.c and 4 more; kubelet: status
├─ ConfigMap other/copied   Ready         sites        i0                                                                         it is not provably kooperd's
└─ ConfigMap other/shared   Deleting      sites        i0             owner: data.own                                             patched: data.shop, data.url; it is being deleted
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	out.Reset()
	if err := writeTree(&out, &compose.Member{ObjectRef: ref("Node", "", "n1"), State: compose.HealthReady}); err != nil {
		t.Fatal(err)
	}
	if want := "OBJECT    STATE   DEFINITION   INSTALLATION   OTHER MANAGERS   WHY\nNode n1   Ready\n"; out.String() != want {
		t.Errorf("an object without children is shown as %q, want %q", out.String(), want)
	}
}

func TestShowFamily(t *testing.T) {
	member := func(kind, name string, unfollowed bool) *compose.Member {
		return &compose.Member{ObjectRef: compose.ObjectRef{Kind: kind, Name: name}, State: compose.HealthReady, Unfollowed: unfollowed}
	}
	root := member("Website", "shop", true)
	root.Children = []*compose.Member{member("ConfigMap", "a", true), member("ConfigMap", "b", true), member("ConfigMap", "c", false)}
	for _, format := range []string{formatText, formatJSON} {
		var stdout, stderr strings.Builder
		err := family{Member: root, Error: "not everything is shown: the time is over"}.show(&stdout, &stderr, format)
		if err == nil || err.Error() != "not everything is shown: the time is over" {
			t.Errorf("%s: error %v, want that the time is over", format, err)
		}
		want := "kooperd: these were not all asked for what was made for them: 2 of kind ConfigMap, 1 of kind Website (tree of one of them shows it)\n"
		if stderr.String() != want {
			t.Errorf("%s: standard error is %q, want %q", format, stderr.String(), want)
		}
		if !strings.Contains(stdout.String(), "shop") || format == formatJSON && !strings.Contains(stdout.String(), `"error": "not everything`) {
			t.Errorf("%s: what was found is not shown: %s", format, stdout.String())
		}
		stdout.Reset()
		if err := (family{Member: root}).show(&stdout, &stderr, format); err != nil {
			t.Errorf("%s: %v", format, err)
		}
	}
}
