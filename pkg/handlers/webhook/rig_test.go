package webhook

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
	"kooperd.dev/kooperd/pkg/hook"
)

// clock is time that stands still between two calls of advance.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// rig is a caller whose sync hook is a server of the test.
type rig struct {
	*caller
	clock    *clock
	registry *prometheus.Registry
	logs     *handlerstest.Logs
}

// newRig makes a caller. Where change gives sync no URL, it is that of server.
func newRig(t *testing.T, server *httptest.Server, change ...func(*Config)) *rig {
	t.Helper()
	c := defaults()
	if server != nil {
		c.Sync.URL = server.URL + "/sync"
	}
	for _, f := range change {
		f(&c)
	}
	if problems := validate(&c); len(problems) > 0 {
		t.Fatalf("the config has problems: %+v", problems)
	}
	r := &rig{clock: newClock(), registry: prometheus.NewPedanticRegistry(), logs: handlerstest.NewLogs(t)}
	env := handlerstest.Env(t)
	env.Metrics, env.Logger = r.registry, r.logs.Logger()
	made, err := newCaller(env, &c, r.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	r.caller = made
	t.Cleanup(made.transports.close)
	return r
}

// sync calls the sync hook for a parent.
func (r *rig) sync(ctx context.Context, parent types.UID, body string) (string, error) {
	got, err := r.clients[hook.Sync].call(ctx, parent, []byte(body))
	return string(got), err
}

// serve starts a server whose hooks are f. It ends with the test.
func serve(t *testing.T, f http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server
}

// answer is a hook that always answers the same.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// write makes a file, as a whole as a volume does.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// secretFile is a secret in a file.
func secretFile(t *testing.T, text string) *handlers.Secret {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, text)
	return &handlers.Secret{File: path}
}
