// Package builtin lists the plugins that every kooperd binary has. It holds no code of theirs.
//
//	daemon.Main(ctx, append(builtin.Plugins(), chaos.Plugin)...)
package builtin

import (
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/apply"
	"kooperd.dev/kooperd/pkg/handlers/exec"
	"kooperd.dev/kooperd/pkg/handlers/log"
	"kooperd.dev/kooperd/pkg/handlers/webhook"
)

// Plugins returns the built-in plugins. The slice is the caller's own.
func Plugins() []handlers.AnyPlugin {
	return []handlers.AnyPlugin{
		apply.Plugin,
		exec.Plugin,
		log.Plugin,
		webhook.Plugin,
	}
}
