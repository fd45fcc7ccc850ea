package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"

	"kooperd.dev/kooperd/test/bench/order"
)

// Measures of the rows about hooks.
const (
	measureHookCalls   = "calls of the hook for each parent"
	measureRecallsEach = "restarted, calls of the hook for each parent"
)

// hooked are the programs of rows about hooks.
var hooked = []program{shipped, informer}

// hookRows are the rows about hooks for so many parents, and the row about templates next to them.
func hookRows(parents int) []row {
	few := max(parents/5, 1)
	return []row{
		hookRow("webhook-200", fmt.Sprintf("%s with a hook, 1 child each, settings as they come", count(few, "parent")), few, order.Single, 0),
		hookRow("webhook", fmt.Sprintf("%d parents with a hook, settings as they come", parents), parents, order.Parts, 0),
		hookRow("webhook-16", fmt.Sprintf("%d parents with a hook, 16 workers", parents), parents, order.Parts, 16),
		{
			name: "webhook-apply", title: fmt.Sprintf("%d parents of templates, settings as they come", parents),
			fixture: templateFixture, measured: hooked[:1], columns: hooked,
			measures: hookMeasures(false),
			order:    func() order.Order { return templateOrder(order.Parts, 0) },
			run:      ofTemplates(parents, (*composing).measureAgain),
		},
	}
}

// hookRow is a row about hooks. The floor is the bare client of the rows about children.
func hookRow(name, title string, parents int, graph order.Graph, workers int) row {
	r := row{
		name: name, title: title, fixture: templateFixture, measured: hooked, columns: hooked,
		measures: hookMeasures(true),
		order:    func() order.Order { return templateOrder(graph, workers) },
		run:      ofTemplates(parents, (*composing).measureHook),
	}
	for i, m := range r.measures {
		switch {
		case m.name == measureAllStatus:
			r.measures[i].targets = []target{{of: informer, factor: 1.3}}
		case m.name == measureEach && graph == order.Parts:
			r.measures[i].targets = []target{{factor: 4.2}}
		case m.name == measureRestartAll && graph == order.Parts:
			r.measures[i].targets = []target{{of: shipped, row: "webhook-200", factor: 1}}
		}
	}
	return r
}

// hookMeasures are those about the first time that everything is made, and about a restart.
func hookMeasures(hook bool) []measure {
	all := convergeMeasures(false)
	if hook {
		all = append(all, measure{name: measureHookCalls, targets: []target{{factor: 2}}})
	}
	all = append(all,
		measure{name: measureLastRequest, unit: seconds}, measure{name: measureRestartCPU, unit: seconds},
		measure{name: measureRestartAll}, measure{name: measureRestartSent, targets: []target{{factor: 0}}})
	if hook {
		all = append(all, measure{name: measureRecallsEach})
	}
	return all
}

// measureHook lets a program ask a hook for the children of all parents, and again after a restart.
// The floor knows them itself.
func (c *composing) measureHook(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error {
	if p == informer {
		return c.measureTemplates(ctx, p, o, parents, numbers)
	}
	service := newHookService(o)
	defer service.Close()
	o.Hook = service.URL
	r, err := c.grow(ctx, p, o, parents, numbers)
	if err != nil {
		return err
	}
	numbers[measureHookCalls] = float64(service.calls.Swap(0)) / float64(parents+1)
	if err := c.restartAfter(ctx, p, r, o, numbers); err != nil {
		return err
	}
	numbers[measureRecallsEach] = float64(service.calls.Load()) / float64(parents+1)
	return nil
}

// measureAgain lets a program make the children of all parents, and find them right after a
// restart.
func (c *composing) measureAgain(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error {
	r, err := c.grow(ctx, p, o, parents, numbers)
	if err != nil {
		return err
	}
	return c.restartAfter(ctx, p, r, o, numbers)
}

// restartAfter stops a program and starts it anew.
func (c *composing) restartAfter(ctx context.Context, p program, r replica, o order.Order, numbers map[string]float64) error {
	if err := c.end(r); err != nil {
		return err
	}
	o.CPUProfile, o.HeapProfile = "", ""
	return c.restart(ctx, p, o, numbers)
}

// hookService is a hook that says what the children of an order are. It is in the process of the
// benchmark, so that its CPU and its memory are in no figure.
type hookService struct {
	*httptest.Server

	order order.Order
	calls atomic.Int64
}

// newHookService starts a hook, which the caller closes.
func newHookService(o order.Order) *hookService {
	s := &hookService{order: o}
	s.Server = httptest.NewServer(s)
	return s
}

// hookRequest is what the hook reads of a request.
type hookRequest struct {
	Parent struct {
		Metadata struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"metadata"`
		Spec order.Spec `json:"spec"`
	} `json:"parent"`
}

// ServeHTTP answers one call.
func (s *hookService) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.calls.Add(1)
	var asked hookRequest
	if err := json.NewDecoder(req.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := json.Marshal(s.answer(asked))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // A caller that is gone needs no answer.
}

// answer is that for one parent.
func (s *hookService) answer(asked hookRequest) map[string]any {
	parent := asked.Parent
	children := []any{}
	for _, part := range s.order.Children() {
		children = append(children, map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": order.ChildName(parent.Metadata.Name, part), "namespace": parent.Metadata.Namespace},
			"data":     s.order.ChildData(parent.Spec, part),
		})
	}
	return map[string]any{"children": children, "status": map[string]any{"observed": s.order.Observed(parent.Spec)}}
}

// hookConfig returns the config of kooperd's plugin webhook for an order.
func hookConfig(o order.Order) map[string]any {
	return map[string]any{
		"sync":     map[string]any{"url": o.Hook},
		"children": []any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}},
	}
}
