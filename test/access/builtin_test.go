package access_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/test/daemon"
)

var update = flag.Bool("access.update", false, "write pkg/kinds/builtin.txt instead of comparing it")

// usualVerbs are written as "*" in the table.
const usualVerbs = "create,delete,deletecollection,get,list,patch,update,watch"

// row is a resource in all its versions.
type row struct {
	kind, scope, singular string
	shortNames, verbs     map[string]bool
	subresources          map[string]map[string]bool // verbs by name
}

// TestBuiltInKinds compares the table of built-in kinds with what the API server serves.
func TestBuiltInKinds(t *testing.T) {
	_, lists, err := shared.Client().Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	rows := map[schema.GroupResource]*row{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(gv.Group, "example.com") {
			continue // made by another test
		}
		for _, r := range list.APIResources {
			addRow(rows, gv.Group, r)
		}
	}
	var lines []string
	for resource, r := range rows {
		lines = append(lines, r.line(resource))
	}
	slices.Sort(lines)
	want := strings.Join(lines, "\n") + "\n"
	file := filepath.Join(daemon.Root(t), "pkg", "kinds", "builtin.txt")
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(have)); diff != "" {
		t.Errorf("%s differs from what is served; go test ./access -access.update writes it anew (-served +file):\n%s", file, diff)
	}
}

// addRow adds what one version of a group says about a resource or a subresource.
func addRow(rows map[schema.GroupResource]*row, group string, r metav1.APIResource) {
	name, subresource, isSub := strings.Cut(r.Name, "/")
	key := schema.GroupResource{Group: group, Resource: name}
	if rows[key] == nil {
		rows[key] = &row{shortNames: map[string]bool{}, verbs: map[string]bool{}, subresources: map[string]map[string]bool{}}
	}
	at := rows[key]
	verbs := at.verbs
	if isSub {
		if at.subresources[subresource] == nil {
			at.subresources[subresource] = map[string]bool{}
		}
		verbs = at.subresources[subresource]
	} else {
		at.kind, at.scope, at.singular = r.Kind, "cluster", r.SingularName
		if r.Namespaced {
			at.scope = "namespaced"
		}
		for _, short := range r.ShortNames {
			at.shortNames[short] = true
		}
	}
	for _, verb := range r.Verbs {
		verbs[verb] = true
	}
}

// line writes group, kind, scope, verbs, and the plural, singular and short names of a resource,
// then its subresources with their verbs.
func (r *row) line(resource schema.GroupResource) string {
	group := resource.Group
	if group == "" {
		group = "-"
	}
	names := append([]string{resource.Resource, r.singular}, sorted(r.shortNames)...)
	line := fmt.Sprintf("%s %s %s %s %s", group, r.kind, strings.Join(names, ","), r.scope, joined(r.verbs))
	for _, name := range sorted(r.subresources) {
		line += fmt.Sprintf(" %s=%s", name, joined(r.subresources[name]))
	}
	return line
}

func joined(verbs map[string]bool) string {
	return strings.ReplaceAll(strings.Join(sorted(verbs), ","), usualVerbs, "*")
}

func sorted[V any](set map[string]V) []string { return slices.Sorted(maps.Keys(set)) }
