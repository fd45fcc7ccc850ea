package exec

import (
	_ "embed" // for schema.cue
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

//go:embed schema.cue
var schema string

// Plugin is the plugin "exec".
var Plugin = handlers.Plugin[Config]{
	Name:        "exec",
	Summary:     "Run a program for every call, with the object as JSON on its standard input",
	Schema:      hook.Schema(schema),
	Defaults:    defaults,
	Validate:    validate,
	Check:       func(c *Config, known handlers.Kinds) []handlers.Problem { return hook.Check(c.Config, known) },
	Rules:       func(c Config) []rbacv1.PolicyRule { return c.Rules },
	Finalizes:   func(c Config) bool { return c.Finalize != nil },
	New:         newHandler,
	NewComposer: newComposer,
	Composes:    func(c Config) bool { return c.Compose },
	External:    func(Config) bool { return true },
	Owns:        func(c Config) []handlers.OwnedKind { return hook.Owns(c.Config) },
	Reads:       func(c Config) []handlers.Related { return hook.Reads(c.Config) },
	Marks:       func(c Config) bool { return hook.Marks(c.Config) },
}

const (
	// OutputInfo lines are always written.
	OutputInfo = "info"
	// OutputDebug lines are written from -v=1 on.
	OutputDebug = "debug"
	// OutputOff reads output and keeps nothing but the last line of standard error, for the error
	// message.
	OutputOff = "off"
)

// Config is the config of one handler. schema.cue describes its fields.
type Config struct {
	// Command is the program and its arguments. Required.
	Command []string `json:"command"`
	// Finalize is what runs for an object that is being deleted. Default: none.
	Finalize *Finalize `json:"finalize,omitempty"`
	// Env are environment variables by name. Default: none.
	Env map[string]string `json:"env,omitempty"`
	// PassEnv are names of the daemon's variables to pass on. Default: none.
	PassEnv []string `json:"passEnv,omitempty"`
	// SecretEnv are environment variables with secret values. Default: none.
	SecretEnv map[string]handlers.Secret `json:"secretEnv,omitempty"`
	// Dir is the working directory. Default: "/".
	Dir string `json:"dir,omitempty"`
	// Timeout is how long the program may run; 0, the default, leaves that to the definition's
	// timeout.
	Timeout handlers.Duration `json:"timeout,omitempty"`
	// Grace is the time between SIGTERM and SIGKILL. Default: 5s.
	Grace handlers.Duration `json:"grace"`
	// OutputLevel is OutputInfo, OutputDebug or OutputOff. Default: OutputInfo.
	OutputLevel string `json:"outputLevel,omitempty"`
	// MaxOutput is how many bytes of each stream are logged. Default: 65536.
	MaxOutput int `json:"maxOutput"`
	// ExitCodes say what exit statuses mean. Default: 0 is success and all others are retried.
	ExitCodes ExitCodes `json:"exitCodes,omitzero"`
	// Rules are the rights that the program needs for requests of its own. Default: none.
	Rules []rbacv1.PolicyRule `json:"rules,omitempty"`
	// Hooks are for programs that say what should exist.
	Hooks
}

// Hooks are the fields for programs that say what should exist. schema.cue describes them.
type Hooks struct {
	// Compose makes the programs hooks. Default: false.
	Compose bool `json:"compose,omitempty"`
	// Customize is the hook that says which other objects the others read. Default: none.
	Customize *Customize `json:"customize,omitempty"`
	// MaxAnswer is how many bytes a hook may answer. Default: 4 MiB.
	MaxAnswer int `json:"maxAnswer,omitempty"`
	// Config says what hooks may answer with, and what they read.
	hook.Config
}

// Customize is the hook that says which other objects the others read.
type Customize struct {
	// Command is the program and its arguments. Required.
	Command []string `json:"command"`
}

// Finalize is what runs for an object that is being deleted.
type Finalize struct {
	// Command is the program and its arguments. Required.
	Command []string `json:"command"`
}

// ExitCodes say what exit statuses mean.
type ExitCodes struct {
	// Success are statuses besides 0 that mean success. Default: none.
	Success []int `json:"success,omitempty"`
	// Terminal are statuses of failures that a retry does not help. Default: none.
	Terminal []int `json:"terminal,omitempty"`
}

func defaults() Config {
	return Config{Dir: "/", Grace: handlers.Duration(5 * time.Second), OutputLevel: OutputInfo, MaxOutput: 64 << 10}
}
