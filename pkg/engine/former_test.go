package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
	"kooperd.dev/kooperd/pkg/status"
)

var errComposing = errors.New("as the test wants")

// ownerConfig is the config of the plugin "owner".
type ownerConfig struct {
	// Owns are the kinds of the core that the composer owns.
	Owns []string `json:"owns,omitempty"`
}

// composing is a definition of a composer that owns these kinds of the core. Its calls call f, if
// that is not nil, and then fail, so that nothing is sent.
func (r *rig) composing(name string, f func(), owns ...string) config.Definition {
	r.t.Helper()
	plugin := handlers.Plugin[ownerConfig]{
		Name: "owner", Summary: "Owns what the test wants", Schema: "#Config: {owns?: [...string]}",
		Owns: func(c ownerConfig) (kinds []handlers.OwnedKind) {
			for _, kind := range c.Owns {
				kinds = append(kinds, handlers.OwnedKind{APIVersion: "v1", Kind: kind})
			}
			return kinds
		},
		NewComposer: func(context.Context, handlers.Env, ownerConfig) (handlers.Composer, error) {
			return handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
				r.note("compose " + req.Object.Name())
				if f != nil {
					f()
				}
				return handlers.Composition{}, handlers.Terminal(errComposing)
			}), nil
		},
	}
	text, err := json.Marshal(ownerConfig{Owns: owns})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.definition(name, "", func(def *config.Definition) { def.Handler = handlerstest.Bind(r.t, plugin, string(text)) })
}

// withRecords gives the engine a ConfigMap for what its composers own.
func withRecords(client corev1client.ConfigMapInterface) func(*Options) {
	return func(o *Options) { o.Records = compose.NewState(client, "kooper-system", "records") }
}

// recorded are the kinds that a definition owns or has owned, as the ConfigMap has them.
func recorded(t *testing.T, client corev1client.ConfigMapInterface, definition string) (kinds []string) {
	t.Helper()
	records, err := client.Get(t.Context(), "records", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var record compose.Record
	if err := json.Unmarshal([]byte(records.Data[definition]), &record); err != nil {
		t.Fatal(err)
	}
	for _, owned := range record.Owns {
		kinds = append(kinds, owned.Kind)
	}
	return kinds
}

// TestFormerKindIsSeenBeforeTheFirstCall has a parent that a call could let go although there are
// children of a kind that is not owned any more.
func TestFormerKindIsSeenBeforeTheFirstCall(t *testing.T) {
	for name, tc := range map[string]struct {
		state  status.State
		reason error
	}{
		"listed":        {state: status.Running},
		"not to be had": {state: status.Degraded, reason: errComposing},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset().CoreV1().ConfigMaps("kooper-system")
				before := compose.RecordOf("v1", "Pod", []handlers.OwnedKind{{APIVersion: "v1", Kind: "Secret"}}, nil, "")
				if _, _, err := compose.NewState(client, "kooper-system", "records").Activate(t.Context(), "pods", before); err != nil {
					t.Fatal(err)
				}
				r := newRig(t, 1, withRecords(client))
				r.api.unsynced[secretKind] = true
				r.start(r.composing("pods", nil))
				defer r.stop()
				r.expect()
				r.api.settle(secretKind, tc.state, tc.reason)
				r.expect("0s compose object-0")
			})
		})
	}
}

// TestFormerKindIsWatchedWhileEarlierCallsMakeIt changes a definition during a call that may still
// make an object of a kind which is not owned any more.
func TestFormerKindIsWatchedWhileEarlierCallsMakeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset().CoreV1().ConfigMaps("kooper-system")
		r := newRig(t, 1, withRecords(client))
		release := make(chan struct{})
		r.start(r.composing("pods", func() { <-release }, "Secret"))
		defer r.stop()
		r.apply(r.composing("pods", nil))
		time.Sleep(time.Minute - time.Second)
		synctest.Wait()
		if kinds := recorded(t, client, "pods"); !slices.Equal(kinds, []string{"Secret"}) {
			t.Errorf("while the call goes on, recorded are %v", kinds)
		}
		if open := r.api.open(secretKind); len(open) == 0 {
			t.Error("while the call goes on, Secrets are not watched")
		}
		close(release)
		synctest.Wait()
		if kinds := recorded(t, client, "pods"); len(kinds) > 0 {
			t.Errorf("after the call, recorded are %v", kinds)
		}
		if open := r.api.open(secretKind); len(open) > 0 {
			t.Error("after the call, Secrets are watched")
		}
	})
}
