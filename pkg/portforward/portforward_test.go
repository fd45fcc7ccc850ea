package portforward_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/portforward"
	"kooperd.dev/kooperd/pkg/portforward/portforwardtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// apiServer is an API server that knows no WebSockets, with one pod at whose port 8081 backend is.
func apiServer(t *testing.T, backend string) *rest.Config {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/namespaces/{namespace}/pods/{pod}/portforward", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("pod") != "kooperd-0" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"pods %q not found"}`, r.PathValue("pod"))
			return
		}
		portforwardtest.Serve(w, r, func(port int) (net.Conn, error) {
			if port != 8081 {
				return nil, errors.New("connection refused")
			}
			return (&net.Dialer{}).DialContext(r.Context(), "tcp", backend)
		})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

func get(t *testing.T, dial func(context.Context, string, string) (net.Conn, error)) (string, error) {
	t.Helper()
	transport := &http.Transport{DialContext: dial}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://pod/page", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// TestDial asks a pod more than once, for much, and in vain, over one connection.
func TestDial(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 1<<16)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.URL.Path+" "+long)
	}))
	t.Cleanup(backend.Close)
	pod, err := portforward.Dial(t.Context(), apiServer(t, backend.Listener.Addr().String()), "kooper-system", "kooperd-0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := pod.Close(); err != nil {
			t.Error(err)
		}
	}()
	for range 3 {
		if body, err := get(t, pod.Dialer(8081)); err != nil || body != "/page "+long {
			t.Fatalf("the pod answers %d bytes and %v, want %d", len(body), err, len(long)+6)
		}
	}
	_, err = get(t, pod.Dialer(9999))
	if want := "port 9999 of pod kooper-system/kooperd-0 cannot be reached: error forwarding port 9999: connection refused"; err == nil ||
		!strings.HasSuffix(err.Error(), want) {
		t.Errorf("a port that nothing listens on: %v, want %q", err, want)
	}
	if _, err := get(t, pod.Dialer(8081)); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestDialFails(t *testing.T) {
	config := apiServer(t, "")
	_, err := portforward.Dial(t.Context(), config, "kooper-system", "gone")
	if err == nil || !strings.Contains(err.Error(), "forwarding a port of pod kooper-system/gone: ") || !strings.Contains(err.Error(), `pods "gone" not found`) {
		t.Errorf("a pod that is gone: %v", err)
	}
	ended, end := context.WithCancelCause(t.Context())
	why := errors.New("enough of it")
	end(why)
	if _, err := portforward.Dial(ended, config, "kooper-system", "kooperd-0"); err != nil && !errors.Is(err, why) {
		t.Errorf("when it was ended before: %v", err)
	}
}

// TestCloseEndsAReader has a reader that waits for what does not come.
func TestCloseEndsAReader(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	pod, err := portforward.Dial(t.Context(), apiServer(t, silent.Addr().String()), "kooper-system", "kooperd-0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pod.Close() }()
	conn, err := pod.Dialer(8081)(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now()); err != nil {
		t.Error(err)
	}
	if got := conn.RemoteAddr().String(); got != "kooper-system/kooperd-0:8081" {
		t.Errorf("the address is %q", got)
	}
	read := make(chan error)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		read <- err
	}()
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; !errors.Is(err, io.EOF) {
		t.Errorf("the reader gets %v, want the end", err)
	}
}

// TestSPDYThatHangs has a proxy that knows no WebSockets, and never answers to SPDY: the attempt
// ends with its context, which closes the connection.
func TestSPDYThatHangs(t *testing.T) {
	asked, left := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done() // The other side has closed the connection.
		close(left)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	ctx, end := context.WithCancelCause(t.Context())
	why := errors.New("enough of it")
	go func() {
		<-asked
		end(why)
	}()
	if _, err := portforward.Dial(ctx, &rest.Config{Host: server.URL}, "kooper-system", "kooperd-0"); !errors.Is(err, why) {
		t.Errorf("the attempt ends with %v, want %v", err, why)
	}
	<-left
}

// TestOtherProtocol has a server that upgrades to something else than SPDY.
func TestOtherProtocol(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "gopher")
		w.WriteHeader(http.StatusSwitchingProtocols)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	_, err := portforward.Dial(t.Context(), &rest.Config{Host: server.URL}, "kooper-system", "kooperd-0")
	if err == nil || !strings.Contains(err.Error(), `speaks the protocol "gopher", want "SPDY/3.1"`) {
		t.Errorf("the error is %v", err)
	}
}

// TestDialThatHangs has an API server that never answers: the attempt ends with its deadline, which
// closes the connection.
func TestDialThatHangs(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	ctx, end := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer end()
	if _, err := portforward.Dial(ctx, &rest.Config{Host: silent.Addr().String()}, "kooper-system", "kooperd-0"); err == nil {
		t.Fatal("it connects to what does not answer")
	}
	conn, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.Copy(io.Discard, conn); err != nil { // It ends when the other side closes.
		t.Error(err)
	}
}
