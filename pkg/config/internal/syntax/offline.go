package syntax

import (
	"context"
	"errors"
	"fmt"

	"cuelang.org/go/mod/modconfig"
	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"
)

// offline is a registry of CUE modules that has none. Unlike CUE's own with CUE_REGISTRY=none, it
// needs no cache directory, and so no home directory and nothing to write to.
type offline struct{}

var _ modconfig.Registry = offline{}

var errOffline = errors.New("nothing is downloaded")

// ModFile says that the module needs no others, so that a module which the user's module.cue lists
// does no harm as long as no config file imports it.
func (offline) ModFile(_ context.Context, m module.Version) (*modfile.File, error) {
	f, err := modfile.Parse(fmt.Appendf(nil, "module: %q\nlanguage: version: %q\n", m.Path(), languageVersion), "module.cue")
	if err != nil {
		return nil, fmt.Errorf("finding module %s: %w", m, err)
	}
	return f, nil
}

// Fetch refuses.
func (offline) Fetch(_ context.Context, m module.Version) (module.SourceLoc, error) {
	return module.SourceLoc{}, fmt.Errorf("finding module %s: %w", m, errOffline)
}

// ModuleVersions knows of no version.
func (offline) ModuleVersions(context.Context, string) ([]string, error) { return nil, nil }
