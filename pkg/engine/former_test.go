package engine

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	clienttesting "k8s.io/client-go/testing"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
	"kooperd.dev/kooperd/pkg/kube"
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
				before := compose.Scope{APIVersion: "v1", Kind: "Pod", Owns: []compose.OwnedRecord{{APIVersion: "v1", Kind: "Secret"}}}
				if _, err := compose.NewState(client, "kooper-system", "records").Activate(t.Context(), "pods", before); err != nil {
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

// TestFirstCallOfATerm has a replica that knows what is recorded: its first call waits for no
// answer of the API server, unless something is to be recorded that it does not know.
func TestFirstCallOfATerm(t *testing.T) {
	for name, tc := range map[string]struct {
		recorded string
		want     []string
	}{
		"as expected":   {recorded: "Secret", want: []string{"0s compose object-0"}},
		"not yet known": {recorded: "ConfigMap"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clients, answer := fake.NewClientset(), make(chan struct{})
				client := clients.CoreV1().ConfigMaps("kooper-system")
				r := newRig(t, 1, withRecords(client))
				def := r.composing("pods", nil, "Secret")
				scope := compose.Scope{
					APIVersion: "v1", Kind: "Pod", Owns: []compose.OwnedRecord{{APIVersion: "v1", Kind: tc.recorded}},
					Finalizer: compose.FinalizerOf("", "pods"), Digest: hex.EncodeToString(def.Digest[:]),
				}
				if _, err := compose.NewState(client, "kooper-system", "records").Activate(t.Context(), "pods", scope); err != nil {
					t.Fatal(err)
				}
				r.apply(def)
				r.run()
				defer r.stop()
				clients.PrependReactor("get", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
					<-answer
					return false, nil, nil
				})
				r.lead()
				r.expect(tc.want...)
				close(answer)
				synctest.Wait()
				if kinds := recorded(t, client, "pods"); kinds[0] != "Secret" {
					t.Errorf("recorded are %v", kinds)
				}
			})
		})
	}
}

// TestFormerKindIsLookedAtOnceASecond has many events of what is left of a kind.
func TestFormerKindIsLookedAtOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset().CoreV1().ConfigMaps("kooper-system")
		before := compose.Scope{APIVersion: "v1", Kind: "Pod", Owns: []compose.OwnedRecord{{APIVersion: "v1", Kind: "Secret"}}}
		if _, err := compose.NewState(client, "kooper-system", "records").Activate(t.Context(), "pods", before); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, 1, withRecords(client))
		left, err := handlers.ObjectOf(&corev1.Secret{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Name: "left"},
		})
		if err != nil {
			t.Fatal(err)
		}
		r.api.listed = map[schema.GroupVersionKind][]handlers.Object{secretKind: {left}}
		r.api.byUID = left // The parent is handled.
		r.start(r.composing("pods", nil))
		defer r.stop()
		synctest.Wait()
		source := r.api.open(secretKind)[0]
		begun := source.listCount()
		for range 20 { // ten events a second, for two seconds
			time.Sleep(100 * time.Millisecond)
			r.api.emit(secretKind, kube.NewChange(left, left))
			synctest.Wait()
		}
		if looks := source.listCount() - begun; looks > 2 {
			t.Errorf("in two seconds it was looked %d times at what is left, want at most 2", looks)
		}
	})
}
