// Package chaos is a plugin that terminates Pods as PodTerminators say, to see whether what they
// are part of copes with it.
//
// The Pods of the next round are chosen one period ahead and announced, in the status and by a
// label. What is announced is all that is terminated when the period ends. So a call that fails or
// is cut off, by the end of the process too, is repeated without further Pods being chosen.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Label is on the Pods that are going to be terminated. Its value is the name of the PodTerminator.
const Label = "chaos.example.com/announced-by"

var resource = schema.GroupVersionResource{Group: "chaos.example.com", Version: "v1alpha1", Resource: "podterminators"}

// Config is what stands below "chaos" in the config file: what holds for all PodTerminators.
type Config struct {
	MaxPods int  `json:"maxPods"`
	DryRun  bool `json:"dryRun"`
}

// Plugin is the plugin "chaos".
var Plugin = handlers.Plugin[Config]{
	Name:    "chaos",
	Summary: "Terminate Pods as PodTerminators say",
	Schema: `
#Config: {
	// How many Pods a PodTerminator terminates at a time at most, whatever its percentage says. Default: 10.
	maxPods?: int & >=1
	// Whether every PodTerminator is a dry run. kooperd needs no right to delete Pods then. Default: false.
	dryRun?: bool
}`,
	Defaults:  func() Config { return Config{MaxPods: 10} },
	Rules:     rules,
	Finalizes: func(Config) bool { return true },
	New:       newHandler,
}

func rules(c Config) []rbacv1.PolicyRule {
	pods := []string{"list", "patch"}
	if !c.DryRun {
		pods = append(pods, "delete")
	}
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: pods},
		{APIGroups: []string{resource.Group}, Resources: []string{resource.Resource + "/status"}, Verbs: []string{"update"}},
		{APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
	}
}

type handler struct {
	config Config
	env    handlers.Env
	client kubernetes.Interface
}

func newHandler(_ context.Context, env handlers.Env, c Config) (handlers.Handler, error) {
	client, err := kubernetes.NewForConfig(env.Clients.REST)
	if err != nil {
		return nil, fmt.Errorf("making the client: %w", err)
	}
	h := &handler{config: c, env: env, client: client}
	return handlers.FuncFinalizer(h.handle, h.finalize), nil
}

// handle ends the round that is due, announces the next one, and asks to be called when that is
// due.
func (h *handler) handle(ctx context.Context, t *PodTerminator) (handlers.Result, error) {
	if t.DeletionTimestamp != nil { // only without a finalizer in the definition
		return handlers.Result{}, nil
	}
	if len(t.Spec.Selector) == 0 || t.Spec.PeriodSeconds < 1 {
		return handlers.Result{}, handlers.Terminal(errors.New("spec without selector or periodSeconds: is it the CRD of this operator?"))
	}
	if now := metav1.Now(); !t.isAnnounced() || t.isDue(now) {
		if err := h.turn(ctx, t, now); err != nil {
			return handlers.Result{}, err
		}
	}
	announced := t.Status.Next.Pods
	if t.Status.Next.DryRun {
		announced = nil
	}
	if err := h.label(ctx, t, announced); err != nil {
		return handlers.Result{}, err
	}
	return handlers.Result{RequeueAfter: max(time.Until(t.Status.Next.Time.Time), 1)}, nil
}

// finalize takes the label from the Pods that are announced: they are not terminated any more.
func (h *handler) finalize(ctx context.Context, t *PodTerminator) (handlers.Result, error) {
	return handlers.Result{}, h.label(ctx, t, nil)
}

// turn terminates the Pods of the round that is due, if one is, and announces the next round.
//
// The status is written last. When that fails, the same round is due again, for the Pods of it that
// still run. It also fails when the object has changed since it was read: then what was announced
// may be over, and all of its Pods gone.
func (h *handler) turn(ctx context.Context, t *PodTerminator, now metav1.Time) error {
	running, err := h.running(ctx, t)
	if err != nil {
		return err
	}
	dryRun := t.Spec.DryRun || h.config.DryRun
	var ended Round
	if t.isDue(now) {
		victims, spared := t.victims(running)
		if !dryRun {
			if err := h.terminate(ctx, t, victims); err != nil {
				return err
			}
			running = without(running, victims)
		}
		ended = Round{Time: now, DryRun: dryRun, Pods: without(t.Status.Next.Pods, spared)}
	}
	if len(ended.Pods) > 0 {
		t.Status.Last = &ended
	}
	t.announce(now, running, h.config.MaxPods, dryRun)
	if err := h.writeStatus(ctx, t); err != nil {
		return err
	}
	if len(ended.Pods) > 0 {
		h.report(ctx, t, ended)
	}
	return nil
}
