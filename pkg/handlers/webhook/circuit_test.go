package webhook

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

// The circuit of a hook that does not answer is open all the time, however long nothing is heard of
// it: the alert about it waits for minutes.
func TestCircuitStaysOpen(t *testing.T) {
	const timeout = 2 * time.Minute
	for name, down := range map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"names a time": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		"answers late, and names a time": func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(timeout - time.Second):
			case <-r.Context().Done():
			}
			w.Header().Set("Retry-After", "300")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var opened, mended atomic.Bool
			server := func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // After that, the server notices who hangs up.
				switch {
				case mended.Load():
					_, _ = w.Write([]byte("{}"))
				case opened.Load():
					down(w, r)
				default:
					w.WriteHeader(http.StatusBadGateway)
				}
			}
			inBubble(t, server, func(t *testing.T, c *client) {
				c.timeout = timeout
				for i := range failuresToOpen {
					_, _ = c.call(t.Context(), types.UID(fmt.Sprint(i)), []byte("{}")) // It fails.
				}
				c.metrics.wantOpen(t, 1)
				opened.Store(true)
				watch := time.NewTicker(5 * time.Second)
				defer watch.Stop()
				for begun := time.Now(); time.Since(begun) < 30*time.Minute; {
					asked := make(chan time.Duration)
					go func() {
						_, err := c.call(t.Context(), "one", []byte("{}"))
						again, _ := handlers.RetryDelay(err)
						time.Sleep(again)
						asked <- again
					}()
					for waiting := true; waiting; {
						select {
						case again := <-asked:
							if waiting = false; again == 0 {
								t.Fatal("the hook is called as if it answered")
							}
						case <-watch.C:
							if c.metrics.wantOpen(t, 1); t.Failed() {
								t.Fatalf("after %s", time.Since(begun))
							}
						}
					}
				}
				c.metrics.wantOpen(t, 1)
				mended.Store(true)
				if _, err := c.call(t.Context(), "one", []byte("{}")); err != nil {
					t.Fatal(err)
				}
				c.metrics.wantOpen(t, 0)
			})
		})
	}
}

// What was sent before others failed, and fails after them, does not shorten the time.
func TestCircuitIsNotClosedEarly(t *testing.T) {
	r := newRig(t, serve(t, answer(http.StatusBadGateway, "")))
	r.metrics.open.extend(hook.Sync, 10*time.Minute)
	r.metrics.open.extend(hook.Sync, time.Second)
	r.clock.advance(11*time.Minute - 1)
	r.wantOpen(t, 1)
	r.clock.advance(1)
	r.wantOpen(t, 0)
}
