package kube_test

import (
	"errors"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// The API server learns how long a write may take, and outside the term it sees none; reads pass
// always.
func TestGate(t *testing.T) {
	ns := shared.Namespace(t)
	mark := shared.AuditMark(t)
	c, _ := connect(t, shared.AdminConfig())
	var remaining atomic.Int64
	gate := kube.NewGate(func() time.Duration { return time.Duration(remaining.Load()) }, telemetry.NewMetrics(prometheus.NewRegistry()))
	clients, err := c.Clients("a-definition", gate, nil)
	if err != nil {
		t.Fatal(err)
	}
	typed, err := kubernetes.NewForConfig(clients.REST)
	if err != nil {
		t.Fatal(err)
	}
	configMaps := typed.CoreV1().ConfigMaps(ns)
	create := func(name string) error {
		_, err := configMaps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		return err
	}

	remaining.Store(int64(9876543210 * time.Nanosecond))
	if err := create("within"); err != nil {
		t.Errorf("within the term: %v", err)
	}
	remaining.Store(0)
	if err := create("after"); !errors.Is(err, kube.ErrNotLeading) {
		t.Errorf("after the term: %v, want ErrNotLeading", err)
	}
	if err := configMaps.Delete(t.Context(), "within", metav1.DeleteOptions{}); !errors.Is(err, kube.ErrNotLeading) {
		t.Errorf("after the term: %v, want ErrNotLeading", err)
	}
	if _, err := configMaps.Get(t.Context(), "within", metav1.GetOptions{}); err != nil {
		t.Errorf("reading after the term: %v", err)
	}
	if _, err := configMaps.Get(t.Context(), "after", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the refused object: %v, want that it is not found", err)
	}

	var verbs []string
	for _, e := range shared.AuditSince(t, mark, agent(t)) {
		if e.UserAgent != agent(t)+" a-definition" || e.ObjectRef.Resource != "configmaps" {
			continue
		}
		verbs = append(verbs, e.Verb)
		u, err := url.Parse(e.RequestURI)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := u.Query().Get("timeout"), "9.87654321s"; e.IsWrite() && got != want {
			t.Errorf("the API server was given a timeout of %q, want %q", got, want)
		}
	}
	if want := []string{"create", "get", "get"}; !slices.Equal(verbs, want) {
		t.Errorf("the API server saw %q, want %q", verbs, want)
	}
}

// The API server itself gives up a write whose time is over, and says so.
func TestServerObeysTheTimeout(t *testing.T) {
	ns := shared.Namespace(t)
	c, _ := connect(t, shared.AdminConfig())
	clients, err := c.Clients("a-definition", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	typed, err := kubernetes.NewForConfig(clients.REST)
	if err != nil {
		t.Fatal(err)
	}
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	err = typed.CoreV1().RESTClient().Post().Namespace(ns).Resource("configmaps").Param("timeout", "1ns").
		Body(object).Do(t.Context()).Error()
	if !apierrors.IsTimeout(err) {
		t.Errorf("with a nanosecond to go: %v, want a timeout", err)
	}
	if _, err := typed.CoreV1().ConfigMaps(ns).Get(t.Context(), "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the object: %v, want that it is not found", err)
	}
}
