// Command panicker is kooperd with one more plugin, "panicker", which panics for ConfigMaps that
// have the key "panic", and says for those that have the key "unavailable" that what all calls need
// is not there. It is for the tests of the alerts about that.
package main

import (
	"context"
	"errors"
	"os"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
	"kooperd.dev/kooperd/pkg/signals"
)

// config is the config of one handler, which has none.
type config struct{}

var plugin = handlers.Plugin[config]{
	Name: "panicker", Summary: "Panic for some ConfigMaps", Schema: "#Config: {}",
	Defaults: func() config { return config{} },
	Rules:    func(config) []rbacv1.PolicyRule { return nil },
	New: func(context.Context, handlers.Env, config) (handlers.Handler, error) {
		return handlers.Func(func(_ context.Context, cm *corev1.ConfigMap) error {
			if _, ok := cm.Data["panic"]; ok {
				panic("as the test wants")
			}
			if _, ok := cm.Data["unavailable"]; ok {
				return handlers.Unavailable(errors.New("as the test wants"))
			}
			return nil
		}), nil
	},
}

func main() { os.Exit(daemon.Main(signals.Context(), append(builtin.Plugins(), plugin)...)) }
