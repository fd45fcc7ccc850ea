package exec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
	"kooperd.dev/kooperd/pkg/kinds"
)

const (
	// maxString is Linux's MAX_ARG_STRLEN without the NUL that ends the string: execve refuses a
	// longer one.
	maxString = 128<<10 - 1
	// maxStrings is below what execve takes of arguments and environment together with the usual
	// stack limit of 8 MiB, a quarter of it, and leaves room for what is added to every call.
	maxStrings = 1 << 20
	// ownPrefix begins the names of the variables that the plugin sets.
	ownPrefix = "KOOPERD_"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func validate(c *Config) []handlers.Problem {
	v := &validator{taken: map[string]string{}}
	v.command("command", c.Command)
	if c.Finalize != nil {
		v.command("finalize.command", c.Finalize.Command)
	}
	if c.Customize != nil {
		v.command("customize.command", c.Customize.Command)
	}
	v.environment(c)
	v.dir(c.Dir)
	v.exitCodes(c.ExitCodes)
	for i, rule := range c.Rules {
		v.rule(fmt.Sprintf("rules[%d]", i), rule)
	}
	if c.Compose {
		v.problems = append(v.problems, hook.Validate(c.Config, hooksOf(*c))...)
	} else {
		v.notForHandlers(c)
	}
	if v.size > maxStrings {
		v.add("", fmt.Sprintf("the command and its environment have %d bytes, want at most %d", v.size, maxStrings),
			"put large values into a file")
	}
	return v.problems
}

// notForHandlers reports what is for hooks alone.
func (v *validator) notForHandlers(c *Config) {
	for _, field := range []struct {
		name string
		said bool
	}{
		{"customize", c.Customize != nil}, {"maxAnswer", c.MaxAnswer != 0}, {"shape", c.Shape != ""}, {"version", c.Version != ""},
		{"decode", c.Decode != ""}, {"generateSelector", c.GenerateSelector}, {"children", len(c.Children) > 0}, {"reads", len(c.Reads) > 0},
		{"revisionHistory", c.RevisionHistory != nil},
	} {
		if field.said {
			v.add(field.name, "is for programs that say what should exist", "say compose: true, or leave it out")
		}
	}
}

// validator collects problems.
type validator struct {
	problems []handlers.Problem
	taken    map[string]string // path of a variable by its name
	size     int               // of all strings that execve is given
}

func (v *validator) add(path, message, hint string) {
	v.problems = append(v.problems, handlers.Problem{Path: path, Message: message, Hint: hint})
}

// text checks a string that the kernel is given.
func (v *validator) text(path, s string, extra int) {
	v.size += len(s) + extra + 1
	if strings.ContainsRune(s, 0) {
		v.add(path, "a NUL byte cannot be given to a program", "")
	}
	if n := len(s) + extra; n > maxString {
		v.add(path, fmt.Sprintf("%d bytes long, want at most %d", n, maxString), "put large values into a file")
	}
}

func (v *validator) command(path string, command []string) {
	if len(command) == 0 {
		v.add(path, "want at least the program", `for example ["/usr/local/bin/sync"]`)
		return
	}
	for i, arg := range command {
		v.text(fmt.Sprintf("%s[%d]", path, i), arg, 0)
	}
	first := path + "[0]"
	switch program := command[0]; {
	case program == "":
		v.add(first, "want a program", `for example "/usr/local/bin/sync"`)
	case strings.ContainsRune(program, '/') && !filepath.IsAbs(program):
		v.add(first, fmt.Sprintf("%q is a relative path", program), "want an absolute path, or a name to look up in PATH")
	case strings.ContainsAny(program, " \t\n"):
		v.add(first, fmt.Sprintf("%q has white space in it", program), "there is no shell: write each argument as a string of its own")
	}
}

func (v *validator) environment(c *Config) {
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		path := member("env", name)
		v.variable(path, name)
		v.text(path, c.Env[name], len(name)+1)
	}
	for i, name := range c.PassEnv {
		v.variable(fmt.Sprintf("passEnv[%d]", i), name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.SecretEnv)) {
		path := member("secretEnv", name)
		v.variable(path, name)
		v.problems = append(v.problems, c.SecretEnv[name].Validate(path)...)
	}
}

func (v *validator) variable(path, name string) {
	other, taken := v.taken[name]
	switch {
	case !variableName.MatchString(name):
		v.add(path, fmt.Sprintf("%q is no name of a variable", name), "want letters, digits and _, not starting with a digit")
	case strings.HasPrefix(name, ownPrefix):
		v.add(path, "names that start with "+ownPrefix+" are set by kooperd", "choose another name")
	case taken:
		v.add(path, fmt.Sprintf("%s gives %s already", other, name), "keep one of them")
	default:
		v.taken[name] = path
	}
}

func (v *validator) dir(dir string) {
	v.text("dir", dir, 0)
	if !filepath.IsAbs(dir) {
		v.add("dir", fmt.Sprintf("%q is not an absolute path", dir), "")
	}
}

func (v *validator) exitCodes(codes ExitCodes) {
	for i, code := range codes.Terminal {
		if slices.Contains(codes.Success, code) {
			v.add(fmt.Sprintf("exitCodes.terminal[%d]", i), fmt.Sprintf("%d is listed as success too", code), "keep one of them")
		}
	}
}

// rule checks that a rule grants something. The API server would store one that does not, and leave
// the user to wonder.
func (v *validator) rule(path string, rule rbacv1.PolicyRule) {
	const example = `for example {apiGroups: [""], resources: ["configmaps"], verbs: ["get", "patch"]}`
	before := len(v.problems)
	switch {
	case len(rule.Verbs) == 0:
		v.add(path+".verbs", "want at least one verb", example)
	case len(rule.NonResourceURLs) > 0 && len(rule.Resources)+len(rule.APIGroups)+len(rule.ResourceNames) > 0:
		v.add(path, "has resources and nonResourceURLs", "make two rules of it")
	case len(rule.NonResourceURLs) == 0 && len(rule.Resources) == 0:
		v.add(path, "names neither resources nor nonResourceURLs", example)
	case len(rule.Resources) > 0 && len(rule.APIGroups) == 0:
		v.add(path, "names no apiGroups", `the core group is ""`)
	}
	if len(rule.ResourceNames) > 0 && (slices.Contains(rule.Verbs, "create") || slices.Contains(rule.Verbs, "deletecollection")) {
		v.add(path+".resourceNames", "create and deletecollection cannot be limited to names", "make a rule of its own for them, without resourceNames")
	}
	v.everything(path+".verbs", rule.Verbs)
	v.everything(path+".apiGroups", rule.APIGroups)
	v.everything(path+".resources", rule.Resources)
	for i, resource := range rule.Resources {
		if resource == "" || resource != strings.ToLower(resource) {
			v.add(fmt.Sprintf("%s.resources[%d]", path, i), fmt.Sprintf("%q is no name of a resource", resource), "want the plural in lower case, such as \"pods\"")
		}
	}
	if len(v.problems) == before {
		v.exists(path, rule)
	}
}

// exists checks that there is what a rule names, as far as that is known without asking a cluster.
// An access review says yes to everything that a role names.
func (v *validator) exists(path string, rule rbacv1.PolicyRule) {
	_, errs := kinds.Rule(context.Background(), kinds.BuiltIn(), rule) //nolint:forbidigo // the table answers from memory
	for _, err := range errs {
		part, _ := errors.AsType[*kinds.RuleError](err)
		missing, ok := errors.AsType[*kinds.NotServedError](err)
		if part != nil && ok {
			v.add(fmt.Sprintf("%s.%s[%d]", path, part.Field, part.Index), missing.Reason(), missing.Hint)
		}
	}
}

// everything refuses a wildcard.
func (v *validator) everything(path string, values []string) {
	if i := slices.Index(values, "*"); i >= 0 {
		v.add(fmt.Sprintf("%s[%d]", path, i), `"*" stands for everything, also for what comes later`, "name what the program needs")
	}
}

// member writes the path of an entry of a map.
func member(of, name string) string {
	if variableName.MatchString(name) {
		return of + "." + name
	}
	return fmt.Sprintf("%s[%q]", of, name)
}
