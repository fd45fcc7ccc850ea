package kooperd_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// The budgets of code that is neither a test nor generated, in lines. A file that needs more has a
// second subject.
const (
	maxFileLines = 400
	p90FileLines = 250
	maxFuncLines = 80
	p90FuncLines = 30
)

// The budgets of a type. One that needs more does more than one job.
const (
	maxTypeMethods = 20
	maxTypeFields  = 15
)

// maxCommentColumns is how wide a line of a comment may be, with tabs of tabColumns.
const (
	maxCommentColumns = 100
	tabColumns        = 4
)

// largeTypes may exceed the budgets of a type, for the reason given.
var largeTypes = map[string]string{
	"pkg/handlers.Plugin": "its fields are the contract with plugins, and literals of it stand in the code of others",
}

// exitCalls end the process or take its signals, which is for main packages alone: whoever embeds
// kooperd must keep both in hand.
var exitCalls = map[string][]string{
	"os":                    {"Exit"},
	"syscall":               {"Exit"},
	"os/signal":             {"Ignore", "Notify", "NotifyContext", "Reset"},
	"log":                   {"Fatal", "Fatalf", "Fatalln"},
	"k8s.io/klog/v2":        {"Exit", "ExitDepth", "Exitf", "Exitln", "Fatal", "FatalDepth", "Fatalf", "Fatalln"},
	"golang.org/x/sys/unix": {"Exit"},
}

// signalsFolder is that of the package that takes signals for main packages.
const signalsFolder = "pkg/signals"

// errorCalls make errors, whose text says what was being done ("reading config: …"); that it failed
// is known.
var errorCalls = map[string][]string{
	"errors": {"New"},
	"fmt":    {"Errorf"},
}

var badErrorText = regexp.MustCompile(`^(?i:failed|unable|could not|couldn't)\b`)

// source is one parsed Go file of any module of the repository.
type source struct {
	path      string // relative to the root
	file      *ast.File
	fset      *token.FileSet
	text      []string // its lines
	lines     int
	test      bool
	generated bool
	imports   map[string]string // local name to import path
}

// notSource matches folders without sources of ours.
var notSource = regexp.MustCompile(`^([._].*|bin|testdata)$`)

// majorVersion matches the last part of an import path that is not the package's name.
var majorVersion = regexp.MustCompile(`^v\d+$`)

// sources parses every Go file of the repository, other modules included.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != "." && notSource.MatchString(entry.Name()) {
			return fs.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		s, err := parseSource(name)
		all = append(all, s)
		return err
	})
	if err != nil {
		t.Fatalf("reading sources: %v", err)
	}
	return all
}

// parseSource parses one file.
func parseSource(name string) (source, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return source{}, err
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	s := source{
		path:      filepath.ToSlash(name),
		file:      file,
		fset:      fset,
		text:      strings.Split(string(text), "\n"),
		lines:     fset.File(file.FileStart).LineCount(),
		test:      strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(file),
		imports:   map[string]string{},
	}
	for _, spec := range file.Imports {
		importPath, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports[localName(spec, importPath)] = importPath
	}
	return s, nil
}

// localName is the name by which a file knows an import: its own for it, else the last part of the
// path that is not a major version.
func localName(spec *ast.ImportSpec, importPath string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	parts := strings.Split(importPath, "/")
	last := parts[len(parts)-1]
	if len(parts) > 1 && majorVersion.MatchString(last) {
		return parts[len(parts)-2]
	}
	return last
}

// position is where a node stands, as file:line.
func (s source) position(node ast.Node) string { return relative(s.fset.Position(node.Pos())) }

// calls visits every call of one of the named package functions.
func (s source) calls(functions map[string][]string, visit func(call *ast.CallExpr, name string)) {
	ast.Inspect(s.file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		name, ok := selector.X.(*ast.Ident)
		if ok && slices.Contains(functions[s.imports[name.Name]], selector.Sel.Name) {
			visit(call, name.Name+"."+selector.Sel.Name)
		}
		return true
	})
}

// relative prints a position with the path relative to the root, where the tests run.
func relative(at token.Position) string {
	name := at.Filename
	if root, err := filepath.Abs("."); err == nil && filepath.IsAbs(name) {
		if rel, err := filepath.Rel(root, name); err == nil {
			name = rel
		}
	}
	return fmt.Sprintf("%s:%d", filepath.ToSlash(name), at.Line)
}

// measure is one thing with its length.
type measure struct {
	what  string
	lines int
}

// checkBudget fails t for every measure above limit, and when more than a tenth of them are above
// p90.
func checkBudget(t *testing.T, all []measure, limit, p90 int) {
	t.Helper()
	slices.SortFunc(all, func(a, b measure) int { return cmp.Compare(b.lines, a.lines) })
	for _, m := range all {
		if m.lines > limit {
			t.Errorf("%s: %d lines, want at most %d", m.what, m.lines, limit)
		}
	}
	if tenth := len(all) / 10; tenth > 0 && all[tenth].lines > p90 {
		t.Errorf("nine of ten should have at most %d lines, and have %d; the longest:", p90, all[tenth].lines)
		for _, m := range all[:min(10, len(all))] {
			t.Logf("\t%4d lines: %s", m.lines, m.what)
		}
	}
}

func TestBudgets(t *testing.T) {
	var files, functions []measure
	for _, s := range sources(t) {
		if s.test || s.generated {
			continue
		}
		files = append(files, measure{s.path, s.lines})
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				lines := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
				functions = append(functions, measure{s.position(f) + ": func " + f.Name.Name, lines})
			}
		}
	}
	t.Run("files", func(t *testing.T) { checkBudget(t, files, maxFileLines, p90FileLines) })
	t.Run("functions", func(t *testing.T) { checkBudget(t, functions, maxFuncLines, p90FuncLines) })
}

func TestOnlyMainPackagesExit(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.file.Name.Name == "main" || path.Dir(s.path) == signalsFolder {
			continue
		}
		s.calls(exitCalls, func(call *ast.CallExpr, name string) {
			t.Errorf("%s: %s is for main packages: return an error, or take a context", s.position(call), name)
		})
	}
}

func TestNoInitFunctions(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init runs for everyone who imports the package: let the caller call", s.position(f))
			}
		}
	}
}

// Inside testing/synctest sleeping is exact and takes no time; in any other test it is a guess.
// Only the test module, which looks at real processes in real time, may have to let time pass to
// show that nothing happens.
func TestNoSleepInTests(t *testing.T) {
	all := sources(t)
	inBubbles := map[string]bool{} // packages whose tests know synctest
	for _, s := range all {
		if s.imports["synctest"] == "testing/synctest" {
			inBubbles[path.Dir(s.path)] = true
		}
	}
	for _, s := range all {
		if !s.test || inBubbles[path.Dir(s.path)] || strings.HasPrefix(s.path, "test/") {
			continue
		}
		s.calls(map[string][]string{"time": {"Sleep"}}, func(call *ast.CallExpr, _ string) {
			t.Errorf("%s: time.Sleep: wait for the event, or for a timer and the context", s.position(call))
		})
	}
}

func TestErrorTexts(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		s.calls(errorCalls, func(call *ast.CallExpr, name string) {
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return
			}
			if text, err := strconv.Unquote(literal.Value); err == nil && badErrorText.MatchString(text) {
				t.Errorf("%s: %s(%q): say what was being done (\"reading config: …\")", s.position(call), name, text)
			}
		})
	}
}

func TestCommentWidth(t *testing.T) {
	for _, s := range sources(t) {
		if s.generated {
			continue
		}
		for _, group := range s.file.Comments {
			if strings.HasPrefix(group.Text(), "Output:") {
				continue // what an example prints
			}
			for _, c := range group.List {
				line := s.text[s.fset.Position(c.Pos()).Line-1]
				if columns := commentColumns(line); columns > maxCommentColumns {
					t.Errorf("%s: the comment has %d columns, want at most %d", s.position(c), columns, maxCommentColumns)
				}
			}
		}
	}
}

// commentColumns is the width of a comment that has its line for itself and could be broken; 0 for
// every other line.
func commentColumns(line string) int {
	text := strings.TrimLeft(line, "\t")
	if !strings.HasPrefix(text, "// ") || len(strings.Fields(text)) <= 2 {
		return 0
	}
	return (len(line)-len(text))*tabColumns + utf8.RuneCountInString(text)
}

// size is what a type consists of.
type size struct{ methods, fields int }

func TestTypeBudgets(t *testing.T) {
	sizes := map[string]size{}
	for _, s := range sources(t) {
		if s.test || s.generated || !strings.HasPrefix(s.path, "pkg/") {
			continue
		}
		addTypes(sizes, s)
	}
	for name, is := range sizes {
		_, known := largeTypes[name]
		large := is.methods > maxTypeMethods || is.fields > maxTypeFields
		switch {
		case large && !known:
			t.Errorf("%s has %d methods and %d fields, want at most %d and %d: take it apart, or name the reason in largeTypes",
				name, is.methods, is.fields, maxTypeMethods, maxTypeFields)
		case !large && known:
			t.Errorf("%s is within the budgets: take it out of largeTypes", name)
		}
	}
}

// addTypes adds what a file declares of types.
func addTypes(sizes map[string]size, s source) {
	add := func(name string, more size) {
		name = path.Dir(s.path) + "." + name
		sizes[name] = size{sizes[name].methods + more.methods, sizes[name].fields + more.fields}
	}
	ast.Inspect(s.file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.FuncDecl:
			if n.Recv != nil {
				add(receiver(n.Recv.List[0].Type), size{methods: 1})
			}
			return false
		case *ast.TypeSpec:
			if fields, ok := n.Type.(*ast.StructType); ok {
				add(n.Name.Name, size{fields: fields.Fields.NumFields()})
			}
		}
		return true
	})
}

// receiver is the name of a receiver's type.
func receiver(of ast.Expr) string {
	switch of := of.(type) {
	case *ast.StarExpr:
		return receiver(of.X)
	case *ast.IndexExpr:
		return receiver(of.X)
	case *ast.Ident:
		return of.Name
	}
	return ""
}
