package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/schemas"
)

// Options says how to load. The zero value of each field but Registry means its default.
type Options struct {
	// Registry holds the plugins that the config may name. Required.
	Registry *handlers.Registry
	// Deadline bounds the evaluation, which a CUE file can make arbitrarily long. Default: 10s.
	Deadline time.Duration
	// MemoryLimit is how many bytes the heap of the process may grow during the evaluation. Default: 1 GiB.
	MemoryLimit uint64
}

// Load reads the files and directories in paths, unifies them and checks the result. Of a directory it reads the CUE,
// YAML and JSON files in it, hidden ones and directories below it left out. A path may be a pipe, and "-" is standard
// input; each is read once, and what it is written in is found out from its text. The error for a bad config is a
// Diagnostics; any other error means that ctx ended or that options are missing. Load contacts nothing, reads no
// environment and may be called from several goroutines at once.
//
// CUE's evaluator cannot be interrupted: when Load gives up because of ctx, Deadline or MemoryLimit, a goroutine goes
// on until the evaluation ends. While four of them run, Load refuses to start another one.
func Load(ctx context.Context, paths []string, options Options) (*Config, error) {
	switch {
	case options.Registry == nil:
		return nil, errors.New("loading config: options without a registry")
	case len(paths) == 0:
		return nil, errors.New("loading config: no file given")
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("loading config: %w", context.Cause(ctx))
	}
	read, err := readAll(ctx, paths)
	if err != nil {
		return nil, err
	}
	if len(read.diags) > 0 {
		return nil, read.diags.tidy()
	}
	return supervise(ctx, options, read.files[0].name, func(doing *activity) (*Config, Diagnostics) {
		return evaluate(read, options.Registry, doing)
	})
}

// readAll reads the files. A pipe may never end, so it does not wait for that any longer than ctx; the goroutine that
// reads then ends with the pipe.
func readAll(ctx context.Context, paths []string) (*sources, error) {
	done := make(chan *sources, 1)
	go func() { done <- readSources(paths) }()
	select {
	case read := <-done:
		return read, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("loading config: %w", context.Cause(ctx))
	}
}

// loader is one load, from parsed files to a Config. Nothing in it outlives the load, as CUE keeps every value it has
// built for as long as its context lives.
type loader struct {
	checker
	registry      *handlers.Registry
	doing         *activity
	ctx           *cue.Context
	pluginSchemas map[string]*schemaNode // by plugin
}

func evaluate(read *sources, registry *handlers.Registry, doing *activity) (*Config, Diagnostics) {
	l := &loader{registry: registry, doing: doing, ctx: cuecontext.New(), pluginSchemas: map[string]*schemaNode{}}
	l.doc = &document{files: map[string]*source{}, first: read.files[0], labels: map[place]token.Pos{}, written: map[place]string{}}
	l.reported = map[string]bool{}
	l.plugins = registry.Names()
	l.checker.plugin = l.pluginSchema
	imported := l.parse(read)
	if len(l.diags) > 0 {
		return nil, l.diags
	}
	schema, err := coreSchema(l.ctx)
	if err != nil {
		return nil, Diagnostics{{Position: l.doc.start(), Message: "compiling the core schema: " + err.Error()}}
	}
	l.core = newSchemaNode(schema)
	cfg := l.config(schema)
	if i := slices.IndexFunc(l.diags, isNewer); i >= 0 {
		return nil, l.diags[i : i+1] // the rest is only what this binary does not know yet
	}
	if len(l.diags) > 0 {
		return nil, l.diags
	}
	for i, d := range cfg.Definitions {
		if cfg.Definitions[i].Digest, err = digestOf(d); err != nil {
			return nil, Diagnostics{{Position: l.doc.start(), Message: err.Error(), Hint: pluginHint}}
		}
	}
	cfg.Hash, cfg.Files = hash(append(slices.Clone(read.files), imported...))
	return cfg, nil
}

// coreSchema compiles #Config without any plugin.
func coreSchema(ctx *cue.Context) (cue.Value, error) {
	inst := build.NewContext().NewInstance("", nil)
	entries, err := schemas.FS.ReadDir(".")
	if err != nil {
		return cue.Value{}, fmt.Errorf("reading the embedded schema: %w", err)
	}
	for _, e := range entries {
		text, err := schemas.FS.ReadFile(e.Name())
		if err != nil {
			return cue.Value{}, fmt.Errorf("reading the embedded schema: %w", err)
		}
		f, err := parser.ParseFile(e.Name(), text)
		if err != nil {
			return cue.Value{}, fmt.Errorf("parsing the embedded schema: %w", err)
		}
		if err := inst.AddSyntax(f); err != nil {
			return cue.Value{}, fmt.Errorf("building the embedded schema: %w", err)
		}
	}
	v := ctx.BuildInstance(inst).LookupPath(cue.MakePath(cue.Def("#Config")))
	return v, v.Err()
}

// pluginSchema returns the schema of a plugin's config, or nil for an unknown plugin.
func (l *loader) pluginSchema(name string) *schemaNode {
	if s, ok := l.pluginSchemas[name]; ok {
		return s
	}
	d, ok := l.registry.Describe(name)
	if !ok {
		return nil
	}
	v, err := handlers.CompileSchema(l.ctx, d.Schema)
	if err != nil {
		return nil
	}
	s := newSchemaNode(v)
	l.pluginSchemas[name] = s
	return s
}

// parse turns all files into one value, and returns the files that imports brought in.
func (l *loader) parse(read *sources) (imported []*source) {
	cl := &cueLoader{schema: func() ([]byte, error) { return SchemaCUE(l.registry) }, known: l.doc.files, budget: read.budget}
	for _, f := range read.files {
		l.doc.files[f.abs] = f
	}
	var values []cue.Value
	add := func(v cue.Value, files ...*ast.File) {
		for _, f := range files {
			l.doc.index(f)
		}
		values = append(values, v)
	}
	for _, f := range read.files {
		var syntax *ast.File
		var diags Diagnostics
		switch f.language {
		case languageYAML:
			syntax, diags = parseYAML(f)
		case languageJSON:
			syntax, diags = parseJSON(f)
		default:
			continue
		}
		l.diags = append(l.diags, diags...)
		if syntax != nil {
			add(l.ctx.BuildFile(syntax), syntax)
		}
	}
	l.diags = append(l.diags, onePackage(read.files)...)
	for _, group := range cueGroups(read.files) {
		if inst := cl.load(group); inst != nil {
			add(l.ctx.BuildInstance(inst), inst.Files...)
		}
	}
	l.diags = append(l.diags, cl.diags...)
	if len(l.diags) > 0 {
		return nil
	}
	l.unify(values)
	return cl.imported
}

// unify makes one document of the values of all files.
func (l *loader) unify(values []cue.Value) {
	for i, v := range values {
		if !isStruct(v) {
			// The file does not compile: a reference leads nowhere.
			l.remaining(nil, v.Validate())
			if len(l.diags) == 0 {
				l.report(l.doc.start(), nil, "want an object with apiVersion and controllers, have "+l.doc.have(v), "")
			}
			continue
		}
		if i == 0 {
			l.doc.value = v
		} else {
			l.doc.value = l.doc.value.Unify(v)
		}
	}
}

// remaining reports what CUE complains of and nothing has explained yet. base is where the checked value stands.
func (l *loader) remaining(base path, err error) {
	for _, e := range cueerrors.Errors(err) {
		at := errorPath(e.Path())
		if !slices.Equal(at[:min(len(at), len(base))], base) {
			at = base.with(at...)
		}
		if l.explained(at) {
			continue
		}
		if len(at) > 0 && l.conflict(at, l.doc.lookup(at), nil) {
			continue
		}
		var places []Position
		for _, p := range cueerrors.Positions(e) {
			if known, ok := l.doc.position(p); ok {
				places = append(places, known)
			}
		}
		if len(places) == 0 {
			places = []Position{l.doc.keyPosition(at)}
		}
		hint := ""
		if len(places) == 2 {
			hint = "see " + places[1].String()
		}
		l.report(places[0], at, firstMessage(e), hint, places[1:]...)
	}
}

// explained tells whether the field, one around it or one below it has a diagnostic.
func (l *loader) explained(at path) bool {
	for p := at; len(p) > 0; p = p.parent() {
		if l.reported[p.key()] {
			return true
		}
	}
	prefix := at.key() + "\x00"
	for key := range l.reported {
		if len(at) > 0 && strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// config checks the document and makes a Config of it; the Config counts only without diagnostics.
func (l *loader) config(schema cue.Value) *Config {
	full := schema.Unify(l.doc.value)
	var text []byte
	err := full.Validate(cue.Concrete(true))
	if err == nil {
		text, err = full.MarshalJSON()
	}
	var sound any
	if err != nil {
		sound, _ = l.check(nil, l.doc.value, l.core)
	}
	bound := l.bindHandlers()
	if err != nil {
		// What has not been explained by now is reported in the words of CUE.
		l.remaining(nil, l.doc.value.Validate())
		if len(l.diags) == 0 {
			l.remaining(nil, err)
		}
		if len(l.diags) == 0 {
			l.report(l.doc.start(), nil, firstMessage(err), "")
		}
		if text, err = json.Marshal(sound); err != nil {
			l.report(l.doc.start(), nil, "cannot be written as JSON: "+err.Error(), "")
			return nil
		}
	}
	f, err := decodeFile(text)
	if err != nil {
		l.report(l.doc.start(), nil, err.Error(), "this is a mistake in kooperd: its schema and its code disagree")
		return nil
	}
	cfg, problems := f.resolve()
	for i, c := range cfg.Definitions {
		handler, ok := bound[c.Name]
		cfg.Definitions[i].Handler = handler
		if at := (path{"controllers", c.Name, "handler"}); !ok && !l.explained(at) {
			l.report(l.doc.keyPosition(at), at, "cannot be used", "this is a mistake in kooperd: it does not know why")
		}
	}
	l.reportProblems(problems)
	return cfg
}

// reportProblems gives the problems their places in the files.
func (l *loader) reportProblems(problems []problem) {
	before := maps.Clone(l.reported) // A text can have several mistakes, which do not explain one another.
	for _, p := range problems {
		at := p.at
		if p.text != nil {
			if _, ok := before[at.key()]; !ok {
				pos, exact := l.doc.textPosition(at, *p.text, p.offset)
				if !exact {
					p.message += p.piece()
				}
				l.report(pos, at, p.message, p.hint)
			}
			continue
		}
		for _, other := range p.instead {
			if !l.doc.lookup(at).Exists() {
				at = other
			}
		}
		if !l.explained(at) {
			l.report(l.doc.valuePosition(at), at, p.message, p.hint)
		}
	}
}

// piece names the place of a mistake in its text by what stands there, unless the message has it already.
func (p problem) piece() string {
	text := []rune(*p.text)
	if p.offset <= 0 || p.offset >= len(text) {
		return ""
	}
	rest := strings.TrimSpace(string(text[p.offset:]))
	if rest == "" || strings.Contains(p.message, rest) {
		return ""
	}
	return ", at " + quote(rest)
}

// bindHandlers goes through the definitions of the document, so that a definition with other mistakes is checked too.
// It returns the handlers by the names of their definitions.
func (l *loader) bindHandlers() map[string]handlers.Bound {
	it, err := settled(l.doc.lookup(path{"controllers"})).Fields()
	if err != nil {
		return nil
	}
	bound := map[string]handlers.Bound{}
	for it.Next() {
		name := it.Selector().Unquoted()
		if b, ok := l.bindHandler(path{"controllers", name, "handler"}); ok {
			bound[name] = b
		}
	}
	return bound
}
