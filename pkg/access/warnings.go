package access

import (
	"context"
	"fmt"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kinds"
)

// Warnings returns what follows from the rights of a config and is easily overlooked, a text for
// each definition that it is about. What is not known of a kind is left out.
func Warnings(ctx context.Context, cfg *config.Config, finder kinds.Finder) []string {
	var warnings []string
	for _, def := range cfg.Definitions {
		switch {
		case def.Paused || len(def.Watch.Namespaces) == 0:
		case def.Finalizer != "":
			warnings = append(warnings, fmt.Sprintf("%s: a namespace that is deleted takes its Role along at once, "+
				"and then kooperd may not remove finalizer %s, so that the namespace stays; "+
				"bind a ClusterRole with the rights of this definition by a ClusterRoleBinding, or leave out watch.namespaces",
				def.Name, def.Finalizer))
		case def.Handler.Composes() && finalizesParents(ctx, def, finder):
			why := "the garbage collector does not delete all children of a %s"
			if len(def.Handler.Patches()) > 0 {
				why = "what a %s contributes to other objects has to be removed when it is deleted"
			}
			warnings = append(warnings, fmt.Sprintf("%s: "+why+", "+
				"so these objects get a finalizer; a namespace that is deleted takes its Role along at once, "+
				"so what it takes to remove the finalizer is granted in the whole cluster", def.Name, def.Watch.Kind.Kind))
		}
	}
	return warnings
}
