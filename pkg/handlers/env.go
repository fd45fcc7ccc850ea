package handlers

import (
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
)

// Env is all that a handler may touch of the daemon. It belongs to one definition and lives as long
// as its handler.
type Env struct {
	// Definition is the definition's name.
	Definition string
	// Kind is the watched kind.
	Kind schema.GroupVersionKind
	// Finalizer is the definition's finalizer; empty when it has none. With one, the handler must
	// be a Finalizer.
	Finalizer string
	// Logger carries the definition's name. Within a call, prefer logr.FromContext(ctx).
	Logger logr.Logger
	// Clients talk to the API server through the gate. A composer has none.
	Clients Clients
	// Lister reads the cache of the watched kind; it sees what the definition's watch sees and
	// nothing else.
	Lister Lister
	// Events records Kubernetes events, through the gate, in the background; nil for a composer.
	Events events.EventRecorder
	// Metrics registers collectors that carry the label controller with the definition's name.
	Metrics prometheus.Registerer
}

// Clients are the ways to the API server that a handler has. Every one of them goes through the
// gate: outside the leadership term, every request but a read is refused with an error that says
// so. A definition with leaderElection: "disabled" is not gated. No request outlasts the term, so a
// session with a Pod (exec, attach, portforward) ends after the renewDeadline at the latest, and a
// write may take as long as is left of the term when it is sent: at least the renewDeadline without
// the retryPeriod while all is well, 8s with the default settings. All are safe for concurrent use.
type Clients struct {
	// REST is a copy of the daemon's client config with the gate in it, from which any other client
	// can be made, for example kubernetes.NewForConfig(env.Clients.REST). Its client-side rate
	// limit is off.
	REST *rest.Config
	// Dynamic reads and writes any kind as unstructured objects.
	Dynamic dynamic.Interface
	// Mapper finds the resource of a kind. One that is installed later is found half a second after
	// the last time that the API server was asked.
	Mapper meta.RESTMapper
}

// Lister reads the definition's cache. It is safe for concurrent use and never talks to the API
// server.
//
// What it returns is as complete as the cache. Work on a definition with several namespaces begins
// when the first of them has been listed, so List and ListOwned over all namespaces may leave out
// objects of the others until these have been, at the start of every process. One namespace is
// complete whenever an object of it is handled. While a watch fails, the cache may lag behind.
type Lister interface {
	// Get returns the object, or false when the cache does not hold it.
	Get(namespace, name string) (Object, bool)
	// List returns the objects of one namespace ("" for all) whose labels match selector (nil for
	// all), in no order. Values of a label that the selector asks for are looked up in an index, so
	// this does not look at all objects.
	List(namespace string, selector labels.Selector) []Object
	// ListOwned returns the objects with an owner reference to uid, in no order and in any
	// namespace. The first call looks at all objects, later ones use an index.
	ListOwned(uid types.UID) []Object
}
