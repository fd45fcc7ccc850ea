package config

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/cuecontext"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/explain"
	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/config/internal/syntax"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kinds/crd"
)

// Options says how to load. The zero value of each field but Registry means its default.
type Options struct {
	// Registry holds the plugins that the config may name. Required.
	Registry *handlers.Registry
	// Kinds is what is known of custom kinds, to check expressions and templates by. Its Watched
	// and ManyNamespaces are not looked at. Default: their metadata.
	Kinds handlers.Kinds
	// Deadline bounds the evaluation, which a CUE file can make arbitrarily long. Default: 10s.
	Deadline time.Duration
	// MemoryLimit is how many bytes the heap of the process may grow during the evaluation.
	// Default: 1 GiB.
	MemoryLimit uint64

	look func(*explain.Document) // called with a document without mistakes; nil for nothing
}

// Load reads the files and directories in paths, unifies them and checks the result. Of a directory
// it reads the CUE, YAML and JSON files in it, hidden ones and directories below it left out. A
// path may be a pipe, and "-" is standard input; each is read once, and what it is written in is
// found out from its text. The error for a bad config is a Diagnostics; any other error means that
// ctx ended or that options are missing. Load contacts nothing, reads no environment and may be
// called from several goroutines at once.
//
// CUE's evaluator cannot be interrupted: when Load gives up because of ctx, Deadline or
// MemoryLimit, a goroutine goes on until the evaluation ends. While four of them run, Load refuses
// to start another one.
func Load(ctx context.Context, paths []string, options Options) (*Config, error) {
	switch {
	case options.Registry == nil:
		return nil, errors.New("loading config: options without a registry")
	case len(paths) == 0:
		return nil, errors.New("loading config: no file given")
	}
	files, err := Read(ctx, paths)
	if err != nil {
		return nil, err
	}
	cfg, _, err := Evaluate(ctx, files, options)
	return cfg, err
}

// Evaluate is Load for files that have been read. Imported are the absolute names of further files
// that the result depends on, which imports have brought in; they are known after a mistake, too.
func Evaluate(ctx context.Context, files *Files, options Options) (cfg *Config, imported []string, err error) {
	if options.Registry == nil {
		return nil, nil, errors.New("loading config: options without a registry")
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("loading config: %w", context.Cause(ctx))
	}
	var found atomic.Pointer[[]string] // by an evaluation that may go on without being waited for
	first := files.first()
	cfg, err = supervise(ctx, options, first, func(doing *activity) (*Config, diagnostic.Diagnostics) {
		return evaluate(files.sources, options, doing, func(names []string) { found.Store(&names) })
	})
	if names := found.Load(); names != nil {
		imported = *names
	}
	return cfg, imported, err
}

// loader is one load, from parsed files to a Config. Nothing in it outlives the load, as CUE keeps
// every value it has built for as long as its context lives.
type loader struct {
	doc      *explain.Document
	report   *explain.Report
	check    *explain.Checker // set when the files have been parsed
	plugins  *pluginSchemas
	doing    *activity
	registry *handlers.Registry
	kinds    handlers.Kinds
	declared []crd.Definition // kinds of the document
	table    *kinds.Table
	ctx      *cue.Context
}

// evaluate makes a Config of the files, or reports their mistakes. It calls imports with the names
// of further files as soon as they are known.
func evaluate(
	read *syntax.Sources, options Options, doing *activity, imports func(names []string),
) (*Config, diagnostic.Diagnostics) {
	registry := options.Registry
	l := &loader{
		doc: explain.NewDocument(read.Files[0]), report: explain.NewReport(), doing: doing, registry: registry, kinds: options.Kinds,
		ctx: cuecontext.New(),
	}
	l.plugins = &pluginSchemas{registry: registry, ctx: l.ctx, nodes: map[string]*explain.SchemaNode{}}
	schema, err := language.Core(l.ctx)
	if err != nil {
		return nil, diagnostic.Diagnostics{{Position: l.doc.Start(), Message: "compiling the core schema: " + err.Error()}}
	}
	plugins := explain.Plugins{Names: registry.Names(), Node: l.plugins.node}
	l.check = explain.NewChecker(l.doc, l.report, plugins, explain.NewSchemaNode(schema))
	imported, ok := l.parse(read, imports)
	if !ok {
		return nil, l.report.Diags
	}
	cfg := l.config(schema)
	if i := slices.IndexFunc(l.report.Diags, explain.IsNewer); i >= 0 {
		return nil, l.report.Diags[i : i+1] // the rest is only what this binary does not know yet
	}
	if len(l.report.Diags) > 0 {
		return nil, l.report.Diags
	}
	for i, d := range cfg.Definitions {
		if cfg.Definitions[i].Digest, err = digestOf(d); err != nil {
			return nil, diagnostic.Diagnostics{{Position: l.doc.Start(), Message: err.Error(), Hint: pluginHint}}
		}
	}
	if options.look != nil {
		options.look(l.doc)
	}
	cfg.Hash, cfg.Files = syntax.Hash(append(slices.Clone(read.Files), imported...))
	return cfg, nil
}

// parse turns all files into one value, and returns the files that imports brought in. ok is false
// if it cannot: some file has a mistake that hides what it says.
func (l *loader) parse(read *syntax.Sources, imports func(names []string)) (imported []*syntax.Source, ok bool) {
	cl := &syntax.CUELoader{Schema: func() ([]byte, error) { return SchemaCUE(l.registry) }, Known: l.doc.Files, Budget: read.Budget}
	for _, f := range read.Files {
		l.doc.Files[f.Abs] = f
	}
	var values []cue.Value
	add := func(v cue.Value, files ...*ast.File) {
		for _, f := range files {
			l.doc.Index(f)
		}
		values = append(values, v)
	}
	for _, f := range read.Files {
		var tree *ast.File
		var diags diagnostic.Diagnostics
		switch f.Language {
		case syntax.YAML:
			tree, diags = syntax.ParseYAML(f)
		case syntax.JSON:
			tree, diags = syntax.ParseJSON(f)
		default:
			continue
		}
		l.report.Diags = append(l.report.Diags, diags...)
		if tree != nil {
			add(l.ctx.BuildFile(tree), tree)
		}
	}
	l.report.Diags = append(l.report.Diags, syntax.OnePackage(read.Files)...)
	for _, group := range syntax.CUEGroups(read.Files) {
		if inst := cl.Load(group); inst != nil {
			add(l.ctx.BuildInstance(inst), inst.Files...)
		}
	}
	l.report.Diags = append(l.report.Diags, cl.Diags...)
	names := slices.Clone(cl.Modules)
	for _, f := range cl.Imported {
		names = append(names, f.Abs)
	}
	slices.Sort(names)
	imports(slices.Compact(names))
	reported := 0
	for _, f := range read.Files {
		for _, at := range f.Reported {
			l.report.Mark(at)
			reported++
		}
	}
	if len(l.report.Diags) > reported {
		return nil, false
	}
	return cl.Imported, l.unify(values)
}

// unify makes one document of the values of all files. ok is false if one of them has none.
func (l *loader) unify(values []cue.Value) (ok bool) {
	before := len(l.report.Diags)
	for i, v := range values {
		if !explain.IsStruct(v) {
			// The file does not compile: a reference leads nowhere.
			l.check.Remaining(nil, v.Validate())
			if len(l.report.Diags) == before {
				l.report.Add(l.doc.Start(), nil, "want an object with apiVersion and controllers, have "+l.doc.Have(v), "")
			}
			continue
		}
		if i == 0 {
			l.doc.Value = v
		} else {
			l.doc.Value = l.doc.Value.Unify(v)
		}
	}
	return len(l.report.Diags) == before
}

// config checks the document and makes a Config of it; the Config counts only without diagnostics.
func (l *loader) config(schema cue.Value) *Config {
	full := schema.Unify(l.doc.Value)
	text, err := encode(full)
	var unwritten error
	if err != nil {
		sound, _ := l.check.CheckDocument()
		text, unwritten = json.Marshal(sound)
	}
	l.declareKinds(text)
	bound := l.bindHandlers()
	if err != nil {
		// What has not been explained by now is reported in the words of CUE.
		l.check.Remaining(nil, l.doc.Value.Validate())
		if len(l.report.Diags) == 0 {
			l.check.Remaining(nil, err)
		}
		if len(l.report.Diags) == 0 {
			l.report.Add(l.doc.Start(), nil, diagnostic.FirstMessage(err), "")
		}
		if unwritten != nil {
			l.report.Add(l.doc.Start(), nil, "cannot be written as JSON: "+unwritten.Error(), "")
			return nil
		}
	}
	f, err := language.Decode(text)
	if err != nil {
		l.report.Add(l.doc.Start(), nil, err.Error(), "this is a mistake in kooperd: its schema and its code disagree")
		return nil
	}
	cfg, problems := resolve(f, l.kinds, l.table)
	cfg.Kinds = l.declared
	for i, c := range cfg.Definitions {
		handler, ok := bound[c.Name]
		cfg.Definitions[i].Handler = handler
		if handler.Composes() {
			cfg.Definitions[i].OnRemove = cmp.Or(c.OnRemove, Retain)
		}
		if ok {
			l.checkFinalizes(c.Name, c.Finalizer, handler)
			l.checkComposer(c, f.Controllers[c.Name], handler)
			l.checkIdentity(c.Name, f.Controllers[c.Name], handler)
			l.checkRollout(c, handler)
		}
		if at := (diagnostic.Path{"controllers", c.Name, "handler"}); !ok && !l.report.Explained(at) {
			l.report.Add(l.doc.KeyPosition(at), at, "cannot be used", "this is a mistake in kooperd: it does not know why")
		}
	}
	l.reportProblems(slices.Concat(problems, sharedStatuses(cfg.Definitions), identities(cfg.Definitions), longLease(cfg)))
	splitFormerly(cfg.Definitions)
	return cfg
}

// reportProblems gives the problems their places in the files.
func (l *loader) reportProblems(problems []problem) {
	before := l.report.Fields() // A text can have several mistakes, which do not explain one another.
	for _, p := range problems {
		at := p.at
		if p.text != nil {
			if !before.Has(at) {
				pos, exact := l.doc.TextPosition(at, *p.text, p.offset)
				if !exact {
					p.message += p.piece()
				}
				l.report.Add(pos, at, p.message, p.hint)
			}
			continue
		}
		for _, other := range p.instead {
			if !l.doc.Lookup(at).Exists() {
				at = other
			}
		}
		pos := l.doc.ValuePosition(at)
		switch {
		case p.position != nil:
			pos = *p.position
		case p.key:
			pos = l.doc.KeyPosition(at)
		}
		if !l.report.Explained(at) {
			l.report.Add(pos, at, p.message, p.hint)
		}
	}
}

// piece names the place of a mistake in its text by what stands there, unless the message has it
// already.
func (p problem) piece() string {
	text := []rune(*p.text)
	if p.offset <= 0 || p.offset >= len(text) {
		return ""
	}
	rest := strings.TrimSpace(string(text[p.offset:]))
	if rest == "" || strings.Contains(p.message, rest) {
		return ""
	}
	return ", at " + diagnostic.Quote(rest)
}

// bindHandlers goes through the definitions of the document, so that a definition with other
// mistakes is checked too. It returns the handlers by the names of their definitions.
func (l *loader) bindHandlers() map[string]handlers.Bound {
	it, err := explain.Settled(l.doc.Lookup(diagnostic.Path{"controllers"})).Fields()
	if err != nil {
		return nil
	}
	bound := map[string]handlers.Bound{}
	for it.Next() {
		name := it.Selector().Unquoted()
		kinds := l.kinds
		kinds.Watched, kinds.ManyNamespaces = watchedKind(it.Value()), !watchesOneNamespace(it.Value())
		if b, ok := l.bindHandler(diagnostic.Path{"controllers", name, "handler"}, kinds); ok {
			bound[name] = b
		}
	}
	return bound
}

// watchedKind returns the kind that a definition watches, or an empty one where that is a mistake.
func watchedKind(definition cue.Value) schema.GroupVersionKind {
	apiVersion, errVersion := definition.LookupPath(cue.ParsePath("watch.apiVersion")).String()
	kind, errKind := definition.LookupPath(cue.ParsePath("watch.kind")).String()
	gv, err := schema.ParseGroupVersion(apiVersion)
	if errVersion != nil || errKind != nil || err != nil {
		return schema.GroupVersionKind{}
	}
	return gv.WithKind(kind)
}

// watchesOneNamespace reports whether a definition watches just one.
func watchesOneNamespace(definition cue.Value) bool {
	n, err := definition.LookupPath(cue.ParsePath("watch.namespaces")).Len().Int64()
	return err == nil && n == 1
}
