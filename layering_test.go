package kooperd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "kooperd.dev/kooperd"

// levels is the order of the rooms, lowest first. A package belongs to the first room whose pattern
// matches it or a folder above it, and may import packages of its own room and of lower levels.
var levels = [][]string{
	{"schemas", "pkg/signals", "pkg/status", "pkg/expression", "pkg/manifest"},
	{"pkg/handlers", "pkg/events", "pkg/kinds", "pkg/queue", "pkg/statusz", "pkg/telemetry", "pkg/trigger", "pkg/cases"},
	{"pkg/hook"},
	{"pkg/config", "pkg/kube", "pkg/election", "pkg/fence", "pkg/portforward", "pkg/server", "pkg/handlers/*"},
	{"pkg/access", "pkg/history", "pkg/offline"},
	{"pkg/compose"},
	{"pkg/engine"},
	{"pkg/reload"},
	{"pkg/daemon"},
	{"cmd/*", "examples/*", "docs/generate"},
}

const (
	// builtinRoom lists the plugins, so it imports its neighbours.
	builtinRoom = "pkg/handlers/builtin"
	// testKitRoom is for tests alone.
	testKitRoom = "pkg/handlers/handlerstest"
)

// bannedDependencies are the modules that the main module must not need, not even through others.
var bannedDependencies = map[string]string{
	"sigs.k8s.io/controller-runtime": "kooperd stands on client-go alone",
	"k8s.io/kubernetes":              "only the devcluster module may depend on Kubernetes itself",
}

// catchAllNames are package names that say nothing of their contents, so that everything ends up in
// them.
var catchAllNames = []string{"base", "common", "helper", "helpers", "misc", "shared", "types", "util", "utils"}

// TestMap wants the packages of levels in the package comment, in the same order.
func TestMap(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		if columns, ok := strings.CutPrefix(line, "//\t"); ok {
			packages := strings.FieldsFunc(columns[:strings.Index(columns+"  ", "  ")], func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })
			for _, name := range packages {
				if strings.Contains(name, "/") || name == "schemas" {
					got = append(got, strings.ReplaceAll(name, "<name>", "*"))
				}
			}
		}
	}
	if want := slices.Concat(levels...); !slices.Equal(got, want) {
		t.Errorf("doc.go has the packages\n%q, want those of levels\n%q", got, want)
	}
}

// listedPackage is what go list tells of one package.
type listedPackage struct {
	ImportPath, Name, Dir, Doc, ForTest string
	Module                              *struct{ Path string }
	GoFiles, TestGoFiles, XTestGoFiles  []string
	Imports, TestImports, XTestImports  []string
}

// own reports whether p is a package of the main module.
func (p listedPackage) own() bool { return p.Module != nil && p.Module.Path == module }

// listPackages runs go list over the main module and everything it needs.
func listPackages(t *testing.T, flags ...string) []listedPackage {
	t.Helper()
	noteInputs(t, "go.mod", "go.sum")
	args := append([]string{"list", "-deps", "-json=ImportPath,Name,Dir,Doc,ForTest,Module,GoFiles,TestGoFiles," +
		"XTestGoFiles,Imports,TestImports,XTestImports"}, append(flags, "./...")...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	var packages []listedPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("reading what go list printed: %v", err)
		}
		packages = append(packages, p)
	}
}

// noteInputs looks at files that only a child process reads, so that go test does not take a result
// from its cache when they have changed.
func noteInputs(t *testing.T, files ...string) {
	t.Helper()
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("looking for %s: %v", file, err)
		}
	}
}

// place is where a package stands in the order.
type place struct {
	room  string
	level int
}

func (p place) String() string {
	return fmt.Sprintf("%s (level %d: %s)", p.room, p.level, strings.Join(levels[p.level], ", "))
}

// placeOf finds the place of a package by its path inside the module: that of the longest path
// above it that a pattern matches, so that pkg/handlers/log is a plugin and not a part of the
// contract.
func placeOf(rel string) (place, bool) {
	for room := rel; room != "."; room = path.Dir(room) {
		for level, patterns := range levels {
			for _, pattern := range patterns {
				if ok, err := path.Match(pattern, room); err == nil && ok {
					return place{room: room, level: level}, true
				}
			}
		}
	}
	return place{}, false
}

// backEdge says what is wrong with from importing to, or nothing.
func backEdge(from, to place, inTest bool) string {
	switch {
	case from.room == to.room:
		return ""
	case to.level > from.level:
		return "points up the order"
	case inTest:
		return ""
	case to.room == testKitRoom:
		return "is for tests alone"
	case to.level == from.level && from.room != builtinRoom:
		return "is a neighbour of the same level"
	}
	return ""
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range listPackages(t) {
		if !p.own() || p.ImportPath == module {
			continue
		}
		rel := strings.TrimPrefix(p.ImportPath, module+"/")
		from, ok := placeOf(rel)
		if !ok {
			t.Errorf("package %s has no place in the order of layering_test.go: say where it stands", rel)
			continue
		}
		checkImports(t, p, from, p.Imports, p.GoFiles, false)
		checkImports(t, p, from, slices.Concat(p.TestImports, p.XTestImports), slices.Concat(p.TestGoFiles, p.XTestGoFiles), true)
	}
}

// checkImports fails t for every import of p that does not point down the order.
func checkImports(t *testing.T, p listedPackage, from place, imports, files []string, inTest bool) {
	t.Helper()
	slices.Sort(imports)
	for _, imported := range slices.Compact(imports) {
		rel, ok := strings.CutPrefix(imported, module+"/")
		if !ok {
			continue
		}
		to, ok := placeOf(rel)
		if !ok {
			continue // told where the package itself is visited
		}
		if why := backEdge(from, to, inTest); why != "" {
			t.Errorf("%s: %s must not import %s, which %s", importPosition(t, p.Dir, files, imported), from, to, why)
		}
	}
}

// importPosition finds the file and line that imports a package.
func importPosition(t *testing.T, dir string, files []string, imported string) string {
	t.Helper()
	for _, name := range files {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatalf("reading imports: %v", err)
		}
		for _, spec := range file.Imports {
			if spec.Path.Value == strconv.Quote(imported) {
				return relative(fset.Position(spec.Pos()))
			}
		}
	}
	return dir
}

func TestBackEdge(t *testing.T) {
	tests := map[string]struct {
		from, to string
		inTest   bool
		wantBack bool
	}{
		"down":                                 {from: "pkg/engine", to: "pkg/kube"},
		"down past a level":                    {from: "pkg/daemon", to: "schemas"},
		"up":                                   {from: "pkg/queue", to: "pkg/engine", wantBack: true},
		"up from a test":                       {from: "pkg/queue", to: "pkg/engine", inTest: true, wantBack: true},
		"contract to its plugin":               {from: "pkg/handlers", to: "pkg/handlers/log", wantBack: true},
		"plugin to its contract":               {from: "pkg/handlers/log", to: "pkg/handlers"},
		"neighbour":                            {from: "pkg/config", to: "pkg/kube", wantBack: true},
		"neighbour from a test":                {from: "pkg/config", to: "pkg/handlers/builtin", inTest: true},
		"plugin to plugin":                     {from: "pkg/handlers/log", to: "pkg/handlers/exec", wantBack: true},
		"list of plugins to plugin":            {from: "pkg/handlers/builtin", to: "pkg/handlers/exec"},
		"list of plugins to another neighbour": {from: "pkg/handlers/builtin", to: "pkg/daemon", wantBack: true},
		"within a room":                        {from: "pkg/config", to: "pkg/config/internal/position"},
		"test kit":                             {from: "pkg/engine", to: "pkg/handlers/handlerstest", wantBack: true},
		"test kit from the list of plugins":    {from: "pkg/handlers/builtin", to: "pkg/handlers/handlerstest", wantBack: true},
		"test kit from a test":                 {from: "pkg/handlers/log", to: "pkg/handlers/handlerstest", inTest: true},
		"example to daemon":                    {from: "examples/custom-build", to: "pkg/daemon"},
		"program to program":                   {from: "examples/custom-build", to: "cmd/kooperd", wantBack: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			from, ok := placeOf(tc.from)
			if !ok {
				t.Fatalf("%s has no place", tc.from)
			}
			to, ok := placeOf(tc.to)
			if !ok {
				t.Fatalf("%s has no place", tc.to)
			}
			if why := backEdge(from, to, tc.inTest); (why != "") != tc.wantBack {
				t.Errorf("backEdge(%s, %s) = %q, want a back-edge: %t", from, to, why, tc.wantBack)
			}
		})
	}
}

func TestBannedDependencies(t *testing.T) {
	packages := listPackages(t, "-test")
	importedBy := map[string]string{}
	for _, p := range packages {
		for _, imported := range p.Imports {
			if _, ok := importedBy[imported]; !ok {
				importedBy[imported] = p.ImportPath
			}
		}
	}
	told := map[string]bool{}
	for _, p := range packages {
		if p.Module == nil || told[p.Module.Path] {
			continue
		}
		if why, ok := bannedDependencies[p.Module.Path]; ok {
			told[p.Module.Path] = true
			t.Errorf("the main module depends on %s: %s\n\timported through %s",
				p.Module.Path, why, importChain(importedBy, p.ImportPath))
		}
	}
}

// importChain names the packages that lead from the main module to the one given.
func importChain(importedBy map[string]string, importPath string) string {
	chain := []string{importPath}
	for range importedBy { // a chain cannot be longer, whatever go list printed
		by, ok := importedBy[importPath]
		if !ok || strings.HasPrefix(importPath, module) {
			break
		}
		chain = append(chain, by)
		importPath = by
	}
	slices.Reverse(chain)
	return strings.Join(chain, " → ")
}

func TestPackageNames(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.own() && (slices.Contains(catchAllNames, p.Name) || slices.Contains(catchAllNames, path.Base(p.ImportPath))) {
			t.Errorf("package %s: the name says nothing of what is in it", p.ImportPath)
		}
	}
}

func TestPackageComments(t *testing.T) {
	for _, p := range listPackages(t) {
		if !p.own() || len(p.GoFiles) == 0 {
			continue
		}
		want := "Package " + p.Name + " "
		if p.Name == "main" {
			want = "Command " + path.Base(p.ImportPath) + " "
		}
		if !strings.HasPrefix(p.Doc, want) {
			t.Errorf("package %s: its comment must begin with %q, and begins with %q", p.ImportPath, want, p.Doc)
		}
	}
}

// The test module compiles the same packages as this one, with the race detector, in minutes. It
// shares them only as long as every version they are made of is the same.
func TestModulesAgreeOnVersions(t *testing.T) {
	want := requirements(t, "go.mod")
	for path, version := range requirements(t, "test/go.mod") {
		if wanted, ok := want[path]; ok && version != wanted {
			t.Errorf("test/go.mod needs %s %s, and go.mod %s: run \"go get %s@%s\" in test", path, version, wanted, path, wanted)
		}
	}
}

// requirements reads the versions that a go.mod file asks for.
func requirements(t *testing.T, file string) map[string]string {
	t.Helper()
	noteInputs(t, file)
	out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json", file).Output()
	if err != nil {
		t.Fatalf("reading %s: %v", file, err)
	}
	var parsed struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(out, &parsed); err != nil {
		t.Fatalf("reading %s: %v", file, err)
	}
	versions := map[string]string{}
	for _, r := range parsed.Require {
		versions[r.Path] = r.Version
	}
	return versions
}
