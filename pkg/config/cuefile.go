package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/cue/parser"

	"kooperd.dev/kooperd/schemas"
)

const (
	// languageVersion pins the CUE language for files that are in no module of their own, so that an upgrade of
	// kooperd does not change what a file means.
	languageVersion = "v0.17.0"

	moduleFile = `module: "kooperd.dev/config@v0"
language: version: "` + languageVersion + `"
`
)

// cueLoader turns CUE files into build instances. Imports resolve to CUE's standard library, kooperd's own schema and
// the user's own module; nothing is ever fetched.
type cueLoader struct {
	schema func() ([]byte, error) // the importable schema, made only when a file asks for it
	mu     sync.Mutex             // cue/load may parse in parallel
	known  map[string]*source     // by absolute name
	// imported are the files of the user's module that an import brought in.
	imported []*source
	budget   int64
	diags    Diagnostics
}

// cueGroup is what CUE would read as one package: the files of one directory with the same package clause.
type cueGroup struct {
	files   []*source
	imports bool
}

func cueGroups(files []*source) []*cueGroup {
	type key struct{ dir, pkg string }
	var groups []*cueGroup
	known := map[key]*cueGroup{}
	for _, f := range files {
		if f.language != languageCUE {
			continue
		}
		k := key{dir: filepath.Dir(f.abs)}
		var imports bool
		// The loader reports a file that does not parse.
		if head, err := parser.ParseFile(f.abs, f.data, parser.ImportsOnly); err == nil {
			k.pkg = head.PackageName()
			for range head.ImportSpecs() {
				imports = true
			}
		}
		if known[k] == nil {
			known[k] = &cueGroup{}
			groups = append(groups, known[k])
		}
		known[k].files = append(known[k].files, f)
		known[k].imports = known[k].imports || imports
	}
	return groups
}

// onePackage reports CUE files of one directory argument that belong to different packages; files without a package
// clause go with any.
func onePackage(files []*source) Diagnostics {
	type clause struct {
		src *source
		pkg string
	}
	var diags Diagnostics
	first := map[string]clause{}
	for _, f := range files {
		if f.language != languageCUE || f.found == "" {
			continue
		}
		head, err := parser.ParseFile(f.abs, f.data, parser.PackageClauseOnly)
		if err != nil || head.PackageName() == "" {
			continue
		}
		one, ok := first[f.found]
		switch {
		case !ok:
			first[f.found] = clause{src: f, pkg: head.PackageName()}
		case one.pkg != head.PackageName():
			offset := 0
			for _, d := range head.Decls {
				if p, ok := d.(*ast.Package); ok {
					offset = p.Name.Pos().Offset()
				}
			}
			diags = append(diags, Diagnostic{Position: positionAt(f.name, f.data, offset),
				Message: fmt.Sprintf("is of package %s, while %s is of package %s", head.PackageName(), one.src.name, one.pkg),
				Hint:    "the CUE files of a directory make one package; name the files that are meant"})
		}
	}
	return diags
}

// load returns the instance of one group of files of one directory, or nil after a mistake.
func (l *cueLoader) load(group *cueGroup) *build.Instance {
	first := group.files[0]
	dir := filepath.Dir(first.abs)
	overlay := map[string]load.Source{}
	args := make([]string, len(group.files))
	for i, f := range group.files {
		overlay[f.abs] = load.FromBytes(f.data)
		args[i] = f.abs
	}
	root := moduleRoot(dir)
	if root != "" {
		if d, bad := l.checkModule(root); bad {
			l.diags = append(l.diags, d)
			return nil
		}
	} else {
		root = dir
		overlay[filepath.Join(root, "cue.mod", "module.cue")] = load.FromString(moduleFile)
	}
	if group.imports {
		// A package of the user's module may import the schema too, so any import makes it available.
		text, err := l.schema()
		if err != nil {
			l.diags = append(l.diags, Diagnostic{Position: Position{File: first.name}, Message: "making the schema: " + err.Error()})
			return nil
		}
		overlay[schemaFile(root)] = load.FromBytes(text)
	}
	instances := load.Instances(args, &load.Config{
		Dir:        dir,
		ModuleRoot: root,
		Overlay:    overlay,
		Registry:   offline{},
		ParseFile:  l.parse,
	})
	if len(instances) != 1 {
		l.diags = append(l.diags, Diagnostic{Position: Position{File: first.name}, Message: "CUE made several packages of one"})
		return nil
	}
	if err := instances[0].Err; err != nil {
		l.loadError(first, root, err)
		return nil
	}
	return instances[0]
}

// schemaFile is where the importable schema lies in a module.
func schemaFile(root string) string {
	return filepath.Join(root, "cue.mod", "pkg", filepath.FromSlash(schemas.ImportPath), "schema.cue")
}

// moduleRoot returns the nearest directory from dir upwards that has a cue.mod, or "".
func moduleRoot(dir string) string {
	for {
		if info, err := os.Stat(filepath.Join(dir, "cue.mod")); err == nil && info.IsDir() {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// parse is called by cue/load for each file, the imported ones included. A file that it refuses is in diags.
func (l *cueLoader) parse(name string, data any, cfg parser.Config) (*ast.File, error) {
	text, ok := data.([]byte)
	if !ok {
		return parser.ParseFile(name, data, cfg)
	}
	src, err := l.admit(name, text)
	if err != nil {
		return nil, err
	}
	if d, bad := checkNesting(src); bad {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.diags = append(l.diags, d)
		return nil, errRefused
	}
	f, err := parser.ParseFile(name, src.data, cfg)
	if err != nil {
		return nil, err
	}
	if diags := checkAttributes(src, f); len(diags) > 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.diags = append(l.diags, diags...)
		return nil, errRefused
	}
	return f, nil
}

// errRefused stops cue/load at a file whose mistake is reported already.
var errRefused = errors.New("refused")

// admit counts and remembers a file that an import brought in.
func (l *cueLoader) admit(name string, text []byte) (*source, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if src, ok := l.known[name]; ok {
		return src, nil
	}
	src := newSource(l.display(name), name, slices.Clone(text))
	src.imported = true
	l.known[name] = src
	if strings.HasSuffix(filepath.ToSlash(name), "cue.mod/pkg/"+schemas.ImportPath+"/schema.cue") {
		src.name = schemaName
		return src, nil
	}
	if l.budget -= int64(len(text)); l.budget < 0 {
		l.diags = append(l.diags, Diagnostic{Position: Position{File: src.name},
			Message: "makes the config larger than 4 MiB", Hint: "that is the limit for all files together, imported ones included"})
		return nil, errRefused
	}
	if d, bad := checkText(src.name, src.data); bad {
		l.diags = append(l.diags, d)
		return nil, errRefused
	}
	l.imported = append(l.imported, src)
	return src, nil
}

// schemaName stands for the embedded schema in positions.
const schemaName = "schema " + schemas.ImportPath

// display shortens the name of an imported file as the files of the load are named: relative or absolute.
func (l *cueLoader) display(abs string) string {
	for _, src := range l.known {
		if filepath.IsAbs(src.name) || src.name == schemaName {
			continue
		}
		// Going from the directory of a file that was named relatively gives a relative name too.
		if rel, err := filepath.Rel(filepath.Dir(src.abs), abs); err == nil {
			return filepath.Join(filepath.Dir(src.name), rel)
		}
	}
	return abs
}

// loadError tells why cue/load refused a file: syntax, an import, or something that diags has already.
func (l *cueLoader) loadError(first *source, root string, err error) {
	for _, e := range cueerrors.Errors(err) {
		if strings.Contains(e.Error(), errRefused.Error()) && len(l.diags) > 0 {
			continue
		}
		d := Diagnostic{Position: Position{File: first.name, Line: 1, Column: 1}}
		d.Message, d.Hint = loadMessage(e)
		switch pos, message := l.innermost(e); {
		case pos != nil && d.Hint == "":
			d.Position, d.Message = *pos, message
		case pos != nil:
			d.Position = *pos
		case strings.Contains(d.Message, "module.cue"):
			d.Position = Position{File: l.display(moduleFileOf(root))}
		}
		l.diags = append(l.diags, d)
	}
}

// innermost returns the place and the words of the error that is the cause of the others, as far as it is in a file of
// the load: a mistake in an imported file is a mistake there, not at the import.
func (l *cueLoader) innermost(err error) (*Position, string) {
	var pos *Position
	message := ""
	for ; err != nil; err = errors.Unwrap(err) {
		var e cueerrors.Error
		if !errors.As(err, &e) {
			break
		}
		if src, ok := l.known[e.Position().Filename()]; ok && src.name != schemaName {
			p := positionAt(src.name, src.data, e.Position().Offset())
			pos, message = &p, e.Error()
		}
		err = e
	}
	return pos, message
}

var noPackage = regexp.MustCompile(`cannot find package "([^"]*)"`)

// loadMessage rewords what cue/load says.
func loadMessage(err cueerrors.Error) (message, hint string) {
	message = err.Error()
	const own = "kooperd brings " + schemas.ImportPath + " itself: remove its module from deps in cue.mod/module.cue"
	switch m := noPackage.FindStringSubmatch(message); {
	case strings.Contains(message, "ambiguous import"):
		return "an import is found in several places", own
	case m != nil && m[1] == schemas.ImportPath:
		return fmt.Sprintf("importing %q: it is not found", m[1]), own
	case m != nil:
		return fmt.Sprintf("importing %q: there is no such package", m[1]), "an import finds CUE's standard library, " + schemas.ImportPath +
			" and the packages of the file's own module; nothing is downloaded"
	}
	return message, ""
}
