package access_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/test/daemon"
)

var update = flag.Bool("access.update", false, "write pkg/access/builtin.txt instead of comparing it")

// TestBuiltInKinds compares the table of built-in kinds with what the API server serves.
func TestBuiltInKinds(t *testing.T) {
	_, lists, err := shared.Client().Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(gv.Group, "example.com") {
			continue // made by another test
		}
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") {
				continue
			}
			group, scope := gv.Group, "cluster"
			if group == "" {
				group = "-"
			}
			if r.Namespaced {
				scope = "namespaced"
			}
			lines = append(lines, fmt.Sprintf("%s %s %s %s", group, r.Kind, r.Name, scope))
		}
	}
	slices.Sort(lines)
	want := strings.Join(slices.Compact(lines), "\n") + "\n"
	file := filepath.Join(daemon.Root(t), "pkg", "access", "builtin.txt")
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
