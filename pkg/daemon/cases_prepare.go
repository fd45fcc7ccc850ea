package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kooperd.dev/kooperd/pkg/cases"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// testConfig is a config that was loaded, with the custom kinds that it is checked by.
type testConfig struct {
	*config.Config
	custom kinds.CustomKinds
	paths  []string
}

// testCase is a case that can be run.
type testCase struct {
	*cases.Case
	try    *tryRun
	choice tryChoice
	given  engine.Given
	skip   string // why it is not run; empty if it is

	composer handlers.Composer // that is asked; nil for that of the definition
}

// mistakef tells a mistake.
func (r *testRun) mistakef(format string, args ...any) {
	r.mistakes = true
	_, _ = fmt.Fprintf(r.stderr, format+"\n", args...)
}

// prepare reads a case and all that it names. It returns nil after a mistake, which it tells.
func (r *testRun) prepare(ctx context.Context, found foundCase) *testCase {
	read, err := cases.Read(found.path)
	if err != nil {
		r.mistakef("%v", err)
		return nil
	}
	if read.Expect == nil && !r.flags.update {
		r.mistakef("%s: it expects nothing: want the field expect, which --update writes", read.At)
		return nil
	}
	paths := read.Config
	if len(paths) == 0 {
		paths = r.flags.configs
	}
	if len(paths) == 0 {
		paths = findConfig(found)
	}
	if len(paths) == 0 {
		r.mistakef("%s: it names no config, and there is none beside it or above (%s): want the field config, or --config",
			read.At, strings.Join(configNames, ", "))
		return nil
	}
	crds := read.CRDs
	if len(crds) == 0 {
		crds = r.flags.crds.paths
	}
	loaded := r.load(ctx, paths, crds)
	if loaded == nil {
		return nil
	}
	c := &testCase{Case: read, try: &tryRun{
		flags: tryFlags{definition: read.Definition, external: r.flags.external, tryView: tryView{secrets: true}},
		cfg:   loaded.Config, custom: loaded.custom, registry: r.registry, paths: loaded.paths, stderr: r.stderr,
	}}
	switch err := c.gather(); {
	case isNotAllowed(err):
		c.skip = err.Error()
	case err != nil:
		r.mistakef("%v", err)
		return nil
	}
	return c
}

// configNames are the names of configs that are found without being named.
var configNames = []string{"controllers.cue", "controllers.yaml", "controllers.yml", "controllers.json"}

// findConfig returns the config that is nearest to a case, in its folder or above.
func findConfig(found foundCase) []string {
	dir := filepath.Dir(found.path)
	for range found.levels + 1 {
		for _, name := range configNames {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				return []string{path}
			}
		}
		dir = filepath.Join(dir, "..")
	}
	return nil
}

// load loads a config once. It returns nil for one with mistakes, which it tells the first time.
func (r *testRun) load(ctx context.Context, paths, crds []string) *testConfig {
	key := strings.Join(slices.Concat(paths, []string{""}, crds), "\x00")
	if loaded, ok := r.configs[key]; ok {
		return loaded
	}
	r.configs[key] = nil
	custom, err := (&crdFlags{paths: crds}).read()
	if err != nil {
		r.mistakef("%v", err)
		return nil
	}
	cfg, err := loadConfig(ctx, r.stderr, r.registry, paths, custom)
	if err != nil {
		r.mistakes = true
		if !errors.Is(err, errSilent) {
			r.mistakef("%v", err)
		}
		return nil
	}
	if custom, err = declaredKinds(cfg, custom); err != nil {
		r.mistakef("%v", err)
		return nil
	}
	r.configs[key] = &testConfig{Config: cfg, custom: custom, paths: paths}
	return r.configs[key]
}

// gather reads the objects of a case and chooses the definition.
func (c *testCase) gather() error {
	definitions, err := c.try.composers()
	if err != nil {
		return fmt.Errorf("%s: %w", c.At, err)
	}
	object, err := c.parent(definitions)
	if err != nil {
		return err
	}
	chosen, _, err := c.try.choose([]*unstructured.Unstructured{object})
	switch {
	case isNotAllowed(err):
		return err
	case err != nil:
		return fmt.Errorf("%s: %w", c.Object.At, err)
	}
	c.choice = chosen[0]
	if c.given.Children, err = objectsOf(c.Children); err != nil {
		return err
	}
	if c.given.Related, err = objectsOf(c.Related); err != nil {
		return err
	}
	c.given.Made = map[string]*unstructured.Unstructured{}
	for _, name := range slices.Sorted(maps.Keys(c.Made)) {
		c.given.Made[name] = objectOf(c.Made[name])
	}
	return nil
}

// parent is the object of a case: of a file that has several, the one that a definition watches.
func (c *testCase) parent(definitions []config.Definition) (*unstructured.Unstructured, error) {
	if c.Object.Object != nil {
		return objectOf(c.Object), nil
	}
	all, err := readObjects(c.Object.Path, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Object.At, err)
	}
	watched := slices.DeleteFunc(slices.Clone(all), func(o *unstructured.Unstructured) bool {
		return !slices.ContainsFunc(definitions, func(def config.Definition) bool { return def.Watch.Kind == o.GroupVersionKind() })
	})
	switch {
	case len(watched) == 1:
		return watched[0], nil
	case len(all) == 1:
		return all[0], nil
	default:
		return nil, fmt.Errorf("%s: %s has %d objects of kinds that definitions watch: want one, or the object itself in place of the path",
			c.Object.At, c.Object.Path, len(watched))
	}
}

// objectOf is an object that a case has itself.
func objectOf(s cases.Source) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: runtime.DeepCopyJSON(s.Object)}
}

// objectsOf reads objects.
func objectsOf(sources []cases.Source) (all []*unstructured.Unstructured, err error) {
	for _, s := range sources {
		if s.Object != nil {
			all = append(all, objectOf(s))
			continue
		}
		found, err := readAllObjects([]string{s.Path})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.At, err)
		}
		all = append(all, found...)
	}
	return all, nil
}
