package daemon

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
)

func TestPluginsSaysWhatAPluginMakes(t *testing.T) {
	type none struct{}
	registry, err := handlers.NewRegistry(
		handlers.Plugin[none]{
			Name: "composes", Summary: "Compose", Schema: "#Config: {}",
			Owns: func(none) []handlers.OwnedKind {
				return []handlers.OwnedKind{{APIVersion: "v1", Kind: "Secret"}, {APIVersion: "apps/v1", Kind: "Deployment"}}
			},
			NewComposer: func(context.Context, handlers.Env, none) (handlers.Composer, error) { return nil, nil },
		},
		handlers.Plugin[none]{
			Name: "finalizes", Summary: "Finalize", Schema: "#Config: {}", Finalizes: func(none) bool { return true },
			New: func(context.Context, handlers.Env, none) (handlers.Handler, error) { return nil, nil },
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"composes": "composes: Compose\npackage kooperd.dev/kooperd/pkg/daemon\n" +
			"makes composers, which by default own v1 Secret, apps/v1 Deployment\n\n#Config: {}\n",
		"finalizes": "finalizes: Finalize\npackage kooperd.dev/kooperd/pkg/daemon\nits definitions may have a finalizer\n\n#Config: {}\n",
	} {
		var out strings.Builder
		if err := writePlugins(&out, registry, []string{name}, true, false); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("plugins %s (-want +got):\n%s", name, diff)
		}
	}
}
