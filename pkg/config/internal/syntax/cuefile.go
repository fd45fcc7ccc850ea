package syntax

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

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/schemas"
)

const (
	// languageVersion pins the CUE language for files that are in no module of their own, so that
	// an upgrade of kooperd does not change what a file means.
	languageVersion = "v0.17.0"

	moduleFile = `module: "kooperd.dev/config@v0"
language: version: "` + languageVersion + `"
`
)

// CUELoader turns CUE files into build instances. Imports resolve to CUE's standard library,
// kooperd's own schema and the user's own module; nothing is ever fetched.
type CUELoader struct {
	Schema func() ([]byte, error) // the importable schema, made only when a file asks for it
	mu     sync.Mutex             // cue/load may parse in parallel
	Known  map[string]*Source     // by absolute name
	// Imported are the files of the user's module that an import brought in.
	Imported []*Source
	// Modules are the absolute names of the module files that were read.
	Modules []string
	Budget  int64
	Diags   diagnostic.Diagnostics
}

// CUEGroup is what CUE would read as one package: the files of one directory with the same package
// clause.
type CUEGroup struct {
	files   []*Source
	imports bool
}

// CUEGroups sorts CUE files into what CUE would read as one package each, in their order.
func CUEGroups(files []*Source) []*CUEGroup {
	type key struct{ dir, pkg string }
	var groups []*CUEGroup
	known := map[key]*CUEGroup{}
	for _, f := range files {
		if f.Language != CUE {
			continue
		}
		k := key{dir: filepath.Dir(f.Abs)}
		var imports bool
		// The loader reports a file that does not parse.
		if head, err := parser.ParseFile(f.Abs, f.Data, parser.ImportsOnly); err == nil {
			k.pkg = head.PackageName()
			for range head.ImportSpecs() {
				imports = true
			}
		}
		if known[k] == nil {
			known[k] = &CUEGroup{}
			groups = append(groups, known[k])
		}
		known[k].files = append(known[k].files, f)
		known[k].imports = known[k].imports || imports
	}
	return groups
}

// OnePackage reports CUE files of one directory argument that belong to different packages; files
// without a package clause go with any.
func OnePackage(files []*Source) diagnostic.Diagnostics {
	type clause struct {
		src *Source
		pkg string
	}
	var diags diagnostic.Diagnostics
	first := map[string]clause{}
	for _, f := range files {
		if f.Language != CUE || f.found == "" {
			continue
		}
		head, err := parser.ParseFile(f.Abs, f.Data, parser.PackageClauseOnly)
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
			diags = append(diags, diagnostic.Diagnostic{Position: PositionAt(f.Name, f.Data, offset),
				Message: fmt.Sprintf("is of package %s, while %s is of package %s", head.PackageName(), one.src.Name, one.pkg),
				Hint:    "the CUE files of a directory make one package; name the files that are meant"})
		}
	}
	return diags
}

// Load returns the instance of one group of files of one directory, or nil after a mistake.
func (l *CUELoader) Load(group *CUEGroup) *build.Instance {
	first := group.files[0]
	dir := filepath.Dir(first.Abs)
	overlay := map[string]load.Source{}
	args := make([]string, len(group.files))
	for i, f := range group.files {
		overlay[f.Abs] = load.FromBytes(f.Data)
		args[i] = f.Abs
	}
	root := moduleRoot(dir)
	if root != "" {
		if d, bad := l.checkModule(root); bad {
			l.Diags = append(l.Diags, d)
			return nil
		}
	} else {
		root = dir
		overlay[filepath.Join(root, "cue.mod", "module.cue")] = load.FromString(moduleFile)
	}
	if group.imports {
		// A package of the user's module may import the schema too, so any import makes it
		// available.
		text, err := l.Schema()
		if err != nil {
			l.Diags = append(l.Diags, diagnostic.Diagnostic{Position: diagnostic.Position{File: first.Name}, Message: "making the schema: " + err.Error()})
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
		l.Diags = append(l.Diags, diagnostic.Diagnostic{Position: diagnostic.Position{File: first.Name}, Message: "CUE made several packages of one"})
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

// parse is called by cue/load for each file, the imported ones included. A file that it refuses is
// in diags.
func (l *CUELoader) parse(name string, data any, cfg parser.Config) (*ast.File, error) {
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
		l.Diags = append(l.Diags, d)
		return nil, errRefused
	}
	f, err := parser.ParseFile(name, src.Data, cfg)
	if err != nil {
		return nil, err
	}
	if diags := checkAttributes(src, f); len(diags) > 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.Diags = append(l.Diags, diags...)
		return nil, errRefused
	}
	return f, nil
}

// errRefused stops cue/load at a file whose mistake is reported already.
var errRefused = errors.New("refused")

// admit counts and remembers a file that an import brought in.
func (l *CUELoader) admit(name string, text []byte) (*Source, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if src, ok := l.Known[name]; ok {
		return src, nil
	}
	src := newSource(l.display(name), name, slices.Clone(text))
	src.imported = true
	l.Known[name] = src
	if strings.HasSuffix(filepath.ToSlash(name), "cue.mod/pkg/"+schemas.ImportPath+"/schema.cue") {
		src.Name = SchemaName
		return src, nil
	}
	if l.Budget -= int64(len(text)); l.Budget < 0 {
		l.Diags = append(l.Diags, diagnostic.Diagnostic{Position: diagnostic.Position{File: src.Name},
			Message: "makes the config larger than 4 MiB", Hint: "that is the limit for all files together, imported ones included"})
		return nil, errRefused
	}
	if d, bad := checkText(src.Name, src.Data); bad {
		l.Diags = append(l.Diags, d)
		return nil, errRefused
	}
	l.Imported = append(l.Imported, src)
	return src, nil
}

// SchemaName stands for the embedded schema in positions.
const SchemaName = "schema " + schemas.ImportPath

// display shortens the name of an imported file as the files of the load are named: relative or
// absolute.
func (l *CUELoader) display(abs string) string {
	for _, src := range l.Known {
		if filepath.IsAbs(src.Name) || src.Name == SchemaName {
			continue
		}
		// Going from the directory of a file that was named relatively gives a relative name too.
		if rel, err := filepath.Rel(filepath.Dir(src.Abs), abs); err == nil {
			return filepath.Join(filepath.Dir(src.Name), rel)
		}
	}
	return abs
}

// loadError tells why cue/load refused a file: syntax, an import, or something that diags has
// already.
func (l *CUELoader) loadError(first *Source, root string, err error) {
	for _, e := range cueerrors.Errors(err) {
		if strings.Contains(e.Error(), errRefused.Error()) && len(l.Diags) > 0 {
			continue
		}
		d := diagnostic.Diagnostic{Position: diagnostic.Position{File: first.Name, Line: 1, Column: 1}}
		d.Message, d.Hint = loadMessage(e)
		switch pos, message := l.innermost(e); {
		case pos != nil && d.Hint == "":
			d.Position, d.Message = *pos, message
		case pos != nil:
			d.Position = *pos
		case strings.Contains(d.Message, "module.cue"):
			d.Position = diagnostic.Position{File: l.display(moduleFileOf(root))}
		}
		l.Diags = append(l.Diags, d)
	}
}

// innermost returns the place and the words of the error that is the cause of the others, as far as
// it is in a file of the load: a mistake in an imported file is a mistake there, not at the import.
func (l *CUELoader) innermost(err error) (*diagnostic.Position, string) {
	var pos *diagnostic.Position
	message := ""
	for ; err != nil; err = errors.Unwrap(err) {
		var e cueerrors.Error
		if !errors.As(err, &e) {
			break
		}
		if src, ok := l.Known[e.Position().Filename()]; ok && src.Name != SchemaName {
			p := PositionAt(src.Name, src.Data, e.Position().Offset())
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
