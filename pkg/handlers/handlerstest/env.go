package handlerstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta/testrestmapper"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/handlers"
)

// ErrUnreachable is the error of every connection that the clients of Env try to open.
var ErrUnreachable = errors.New("there is no API server in this test")

// Env returns an Env of the definition "test" in which everything works but the API server, which
// is unreachable: the logger writes to t, Events is a *Recorder, Metrics a registry of its own, the
// Lister is empty, and the Mapper knows the built-in kinds. The caller may replace any of them
// before making a handler.
func Env(t testing.TB) handlers.Env {
	t.Helper()
	return newEnv(t, "test", prometheus.NewPedanticRegistry())
}

func newEnv(t testing.TB, definition string, registry prometheus.Registerer) handlers.Env {
	t.Helper()
	return handlers.Env{
		Definition: definition,
		Logger:     NewLogs(t).Logger().WithValues("controller", definition),
		Clients:    unreachableClients(t),
		Lister:     Lister(nil),
		Events:     &Recorder{},
		Metrics:    prometheus.WrapRegistererWith(prometheus.Labels{"controller": definition}, registry),
	}
}

func unreachableClients(t testing.TB) handlers.Clients {
	t.Helper()
	config := &rest.Config{
		Host: "https://kubernetes.invalid",
		QPS:  -1,
		Dial: func(context.Context, string, string) (net.Conn, error) { return nil, ErrUnreachable },
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(fmt.Errorf("making the dynamic client: %w", err))
	}
	mapper := testrestmapper.TestOnlyStaticRESTMapper(scheme.Scheme)
	return handlers.Clients{REST: config, Dynamic: dyn, Mapper: mapper}
}
