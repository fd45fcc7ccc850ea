package daemon

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"kooperd.dev/kooperd/pkg/config"
)

// externalFlags say which programs and services may be asked by a command that contacts nothing
// else.
type externalFlags struct {
	programs bool
	hooks    []string
	all      bool // set by --run-hooks of the command try, which is older

	addresses map[string]*url.URL // of hooks by definition; nil for the address in the config
}

func (e *externalFlags) add(f *pflag.FlagSet) {
	f.BoolVar(&e.programs, "run-programs", false, "run the programs that definitions ask what should exist")
	f.StringArrayVar(&e.hooks, "hook", nil, "NAME or NAME=URL: call the hooks of that definition, at that URL; may be repeated")
	explain(f, "hook", "NAME or NAME=URL: call the hooks of the definition NAME, as its config has them or at the scheme, host and port of URL, "+
		"with the paths and queries that the config has and without its other credentials; may be repeated")
}

// parse reads the flags.
func (e *externalFlags) parse() error {
	e.addresses = map[string]*url.URL{}
	for _, hook := range e.hooks {
		name, text, moved := strings.Cut(hook, "=")
		if _, twice := e.addresses[name]; twice {
			return fmt.Errorf("--hook: definition %s is there twice", name)
		}
		if name == "" {
			return fmt.Errorf("--hook %s: want NAME or NAME=URL, with the name of a definition", hook)
		}
		e.addresses[name] = nil
		if !moved {
			continue
		}
		address, err := url.Parse(text)
		if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Host == "" || address.User != nil {
			return fmt.Errorf("--hook %s: want a URL such as http://127.0.0.1:8080", name)
		}
		if strings.Trim(address.Path, "/") != "" || address.RawQuery != "" || address.Fragment != "" {
			return fmt.Errorf("--hook %s: want a URL without a path: paths are those of the config", name)
		}
		e.addresses[name] = address
	}
	return nil
}

// check returns what --hook names and no definition is.
func (e *externalFlags) check(definitions []config.Definition) error {
	for _, hook := range e.hooks {
		name, _, _ := strings.Cut(hook, "=")
		i := slices.IndexFunc(definitions, func(def config.Definition) bool { return def.Name == name })
		switch {
		case i < 0:
			return fmt.Errorf("--hook: there is no definition %q; there are: %s", name, namesOf(definitions))
		case !definitions[i].Handler.AsksService():
			return fmt.Errorf("--hook: definition %s has no hooks that are called: its plugin is %s", name, definitions[i].Handler.Plugin())
		}
	}
	return nil
}

// notAllowedError means that a program or a service is not to be asked.
type notAllowedError struct{ message string }

func (e *notAllowedError) Error() string { return e.message }

// allow returns a definition as it is to be run. The error is a notAllowedError when it asks
// somebody who was not allowed.
func (e *externalFlags) allow(def config.Definition) (config.Definition, error) {
	if !def.Handler.External() {
		return def, nil
	}
	if !def.Handler.AsksService() {
		if e.programs || e.all {
			return def, nil
		}
		return def, &notAllowedError{fmt.Sprintf("definition %s asks a program what should exist (%s), which is run only with --run-programs",
			def.Name, def.Handler.Plugin())}
	}
	address, named := e.addresses[def.Name]
	switch {
	case !named && !e.all:
		return def, &notAllowedError{fmt.Sprintf("definition %s asks a service what should exist (%s), which is called only with --hook %[1]s or --hook %[1]s=URL",
			def.Name, def.Handler.Plugin())}
	case address == nil:
		return def, nil
	}
	moved, err := def.Handler.At(address)
	if err != nil {
		return def, fmt.Errorf("definition %s: %w", def.Name, err)
	}
	def.Handler = moved
	return def, nil
}

// isNotAllowed reports whether somebody was not allowed to be asked.
func isNotAllowed(err error) bool {
	_, is := errors.AsType[*notAllowedError](err)
	return is
}
