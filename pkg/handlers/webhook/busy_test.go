package webhook

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
	"kooperd.dev/kooperd/pkg/hook"
)

// pipes is a listener whose connections are in memory, so that a server can be part of a bubble.
type pipes struct {
	connections chan net.Conn
	closed      chan struct{}
	once        sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.connections:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (*pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.connections <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inBubble runs a test with a client whose hook is f, and time that passes when all wait. Its end
// awaits the answers that the hook has begun: time stands still when the test has returned, so a
// hook that still takes its time would never come to its end, which is a panic.
func inBubble(t *testing.T, f http.HandlerFunc, test func(t *testing.T, c *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		listener := &pipes{connections: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: f, ReadHeaderTimeout: time.Hour}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(listener) }) // It ends with Close.
		config := defaults()
		config.Sync.URL = "http://hooks.invalid/sync"
		made, err := newCaller(handlerstest.Env(t), &config, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		made.transports.current.DialContext = listener.dial
		test(t, made.clients[hook.Sync])
		made.transports.close()
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
}

// busy asks for fewer requests.
func busy(w http.ResponseWriter, after string) {
	w.Header().Set("Retry-After", after)
	w.WriteHeader(http.StatusTooManyRequests)
}

// TestSlowBusyHook has a hook that takes its time to say that it is busy. Nobody waits for it but
// the one whose request it has, and it always has one, also in the end.
func TestSlowBusyHook(t *testing.T) {
	const latency, workers, minutes = 5 * time.Second, 4, 10
	var requests atomic.Int32
	slow := func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		time.Sleep(latency)
		busy(w, "30")
	}
	inBubble(t, slow, func(t *testing.T, c *client) {
		ctx, cancel := context.WithTimeout(t.Context(), minutes*time.Minute+latency/2) // in the middle of a request
		defer cancel()
		if _, err := c.call(ctx, "first", []byte("{}")); err == nil {
			t.Fatal("the hook is not busy")
		}
		requests.Store(0)
		begun := time.Now()
		var working sync.WaitGroup
		var putOff atomic.Int32
		for worker := range workers {
			working.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					called := time.Now()
					_, err := c.call(ctx, types.UID(fmt.Sprint(worker, "-", n)), []byte("{}"))
					took := time.Since(called)
					again, ok := handlers.RetryDelay(err)
					if ctx.Err() != nil {
						return
					}
					if !ok || again < turnPatience {
						t.Errorf("a call ends with %v, again after %s", err, again)
					}
					if took > turnPatience && took < latency {
						t.Errorf("a call that was not sent took %s", took)
					}
					if took == turnPatience {
						putOff.Add(1)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		working.Wait()
		most := int32(time.Since(begun) / latency)
		if n := requests.Load(); n < most*9/10 || n > most+1 {
			t.Errorf("the hook had %d requests, want about %d: one at a time, all the time", n, most)
		}
		if n, least := putOff.Load(), int32((workers-1)*minutes*60/2); n < least {
			t.Errorf("%d calls were put off, want %d at least", n, least)
		}
	})
}

// TestQuickBusyHook has a hook that is busy for a while and answers soon: the requests follow one
// another, none is put off, and after that time there are several at a time again.
func TestQuickBusyHook(t *testing.T) {
	const latency, calls = 10 * time.Millisecond, 50
	var sent, now, most atomic.Int32
	quick := func(w http.ResponseWriter, _ *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		time.Sleep(latency)
		if sent.Add(1) == 1 {
			busy(w, "60")
			return
		}
		_, _ = w.Write([]byte("{}"))
	}
	inBubble(t, quick, func(t *testing.T, c *client) {
		if _, err := c.call(t.Context(), "first", []byte("{}")); err == nil {
			t.Fatal("the hook is not busy")
		}
		callAll := func() time.Duration {
			begun := time.Now()
			var calling sync.WaitGroup
			for i := range calls {
				calling.Go(func() {
					if _, err := c.call(t.Context(), types.UID(fmt.Sprint(i)), []byte("{}")); err != nil {
						t.Error(err)
					}
				})
			}
			calling.Wait()
			return time.Since(begun)
		}
		if took := callAll(); took != calls*latency || most.Load() != 1 {
			t.Errorf("%d calls took %s, %d at a time", calls, took, most.Load())
		}
		time.Sleep(time.Minute)
		if callAll(); most.Load() == 1 {
			t.Error("when the time is over that it has named, the hook still gets one request at a time")
		}
	})
}

// TestBusyHookWakesUp has a hook that is busy for a shorter time than calls would wait.
func TestBusyHookWakesUp(t *testing.T) {
	var sent atomic.Int32
	soon := func(w http.ResponseWriter, _ *http.Request) {
		if sent.Add(1) == 1 {
			busy(w, "2")
			return
		}
		time.Sleep(4 * time.Second)
		_, _ = w.Write([]byte("{}"))
	}
	inBubble(t, soon, func(t *testing.T, c *client) {
		if _, err := c.call(t.Context(), "first", []byte("{}")); err == nil {
			t.Fatal("the hook is not busy")
		}
		time.Sleep(1500 * time.Millisecond)
		begun := time.Now()
		var calling sync.WaitGroup
		for i := range 3 {
			calling.Go(func() {
				if _, err := c.call(t.Context(), types.UID(fmt.Sprint(i)), []byte("{}")); err != nil {
					t.Error(err)
				}
			})
		}
		calling.Wait()
		if took := time.Since(begun); took != 4500*time.Millisecond {
			t.Errorf("three calls took %s: they have not gone on together when the hook was not busy any more", took)
		}
	})
}

// TestOutOfOrderEnds lets a hook fail that nobody asks any more, as where another replica leads.
func TestOutOfOrderEnds(t *testing.T) {
	server := serve(t, answer(http.StatusBadGateway, ""))
	r := newRig(t, server)
	for i := range failuresToOpen {
		_, _ = r.sync(t.Context(), types.UID(fmt.Sprint(i)), "{}") // It fails.
	}
	r.wantOpen(t, 1)
	r.clock.advance(firstPause + lastPause - 1)
	r.wantOpen(t, 1)
	r.clock.advance(1)
	r.wantOpen(t, 0)
}
