package exec

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"kooperd.dev/kooperd/pkg/handlers"
)

// defaultPath is the PATH of a program that is given no other. It is fixed, so that a program finds
// the same tools wherever the daemon was started from.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment returns the environment of one call as execve takes it, sorted, and the secret values
// in it.
func (r *runner) environment(c call) (environ []string, secrets []handlers.SecretValue, err error) {
	env := map[string]string{"PATH": defaultPath}
	for _, name := range r.config.PassEnv {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	maps.Copy(env, r.config.Env)
	for name, secret := range r.config.SecretEnv {
		value, err := secret.Resolve()
		if err != nil {
			return nil, nil, fmt.Errorf("setting %s: %w", name, err)
		}
		if strings.ContainsRune(value.Reveal(), 0) {
			return nil, nil, fmt.Errorf("setting %s: the secret contains a NUL byte, which cannot be given to a program", name)
		}
		env[name] = value.Reveal()
		secrets = append(secrets, value)
	}
	for name, value := range r.variables(c) {
		if strings.ContainsRune(value, 0) {
			return nil, nil, handlers.Terminal(fmt.Errorf("setting %s: the object's value contains a NUL byte, which cannot be given to a program", name))
		}
		env[name] = value
	}
	environ = make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		environ = append(environ, name+"="+env[name])
	}
	return environ, secrets, nil
}

// variables are what a program is told about its call, for those that need no more of the object
// than this.
func (r *runner) variables(c call) map[string]string {
	o := c.Object
	apiVersion, kind := o.GroupVersionKind().ToAPIVersionAndKind()
	variables := map[string]string{
		ownPrefix + "DEFINITION":       r.definition,
		ownPrefix + "API_VERSION":      apiVersion,
		ownPrefix + "KIND":             kind,
		ownPrefix + "NAMESPACE":        o.Namespace(),
		ownPrefix + "NAME":             o.Name(),
		ownPrefix + "UID":              string(o.UID()),
		ownPrefix + "RESOURCE_VERSION": o.ResourceVersion(),
		ownPrefix + "CAUSE":            string(c.Cause),
		ownPrefix + "ATTEMPT":          strconv.Itoa(c.Attempt),
	}
	if c.hook != "" {
		variables[ownPrefix+"HOOK"] = string(c.hook)
	}
	return variables
}
