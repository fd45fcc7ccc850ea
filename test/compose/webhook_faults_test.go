package compose_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// healthyDefinition is one whose hook always works, beside the others.
const healthyDefinition = "healthy"

// hookFault is how a hook goes wrong.
type hookFault struct {
	answer hookAnswer
	// why is in the condition of the parent; empty if that stays ready.
	why string
}

// answerStatus answers with a status alone.
func answerStatus(code int) hookAnswer {
	return func(w http.ResponseWriter, _ *http.Request, _ hookCall) any {
		w.WriteHeader(code)
		return nil
	}
}

// answerText answers with a text.
func answerText(answer string) hookAnswer {
	return func(w http.ResponseWriter, _ *http.Request, _ hookCall) any {
		_, _ = io.WriteString(w, answer)
		return nil
	}
}

// answerWith changes the answer of a hook that works.
func answerWith(change func(call hookCall, answer, child map[string]any)) hookAnswer {
	return func(_ http.ResponseWriter, _ *http.Request, call hookCall) any {
		answer := pageOf(call)
		children, _ := answer["children"].([]any)
		child, _ := children[0].(map[string]any)
		change(call, answer, child)
		return answer
	}
}

func metadataOf(child map[string]any) map[string]any {
	metadata, _ := child["metadata"].(map[string]any)
	return metadata
}

// endless answers with a block again and again, without an end.
func endless(w io.Writer, block []byte) {
	for {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// compressed returns a block as one member of a gzip stream, which may have any number of them. To
// compress all that a bomb needs would take longer than the timeout of a hook on a busy machine.
func compressed(block []byte) []byte {
	var member bytes.Buffer
	w := gzip.NewWriter(&member)
	_, _ = w.Write(block) // a buffer takes everything
	_ = w.Close()
	return member.Bytes()
}

// hookFaults are all ways to go wrong, by the names of definitions.
func hookFaults() map[string]hookFault {
	zeros := make([]byte, 1<<20)
	bomb := compressed(zeros)
	return map[string]hookFault{
		"crash": {func(http.ResponseWriter, *http.Request, hookCall) any { panic(http.ErrAbortHandler) }, "EOF"},
		"hang": {func(_ http.ResponseWriter, req *http.Request, _ hookCall) any {
			<-req.Context().Done()
			return nil
		}, "no answer within 2s"},
		"server-error": {answerStatus(http.StatusInternalServerError), "answered 500 Internal Server Error"},
		"not-found":    {answerStatus(http.StatusNotFound), "answered 404 Not Found"},
		"no-json":      {answerText("<html>"), "the answer is no JSON"},
		"half":         {answerText(`{"children": [`), "the answer is no JSON"},
		"large": {func(w http.ResponseWriter, _ *http.Request, _ hookCall) any {
			w.Header().Set("Content-Length", "1073741824")
			endless(w, zeros)
			return nil
		}, "8388608 bytes of maxResponse"},
		"bomb": {func(w http.ResponseWriter, _ *http.Request, _ hookCall) any {
			w.Header().Set("Content-Encoding", "gzip")
			endless(w, bomb)
			return nil
		}, "8388608 bytes of maxResponse"},
		"twice":   {answerText(`{"status": {}, "children": [], "children": []}`), "children: is there twice"},
		"unknown": {answerText(`{"status": {}, "childs": []}`), "childs"},
		"wrong-kind": {answerWith(func(_ hookCall, _, child map[string]any) {
			child["kind"] = "Secret"
		}), "which is not among the children of the definition"},
		"wrong-scope": {answerWith(func(_ hookCall, _, child map[string]any) {
			metadataOf(child)["namespace"] = "kube-system"
		}), "say anyNamespace: true"},
		"anothers-name": {answerWith(func(_ hookCall, _, child map[string]any) {
			metadataOf(child)["name"] = healthyDefinition + "-page"
		}), healthyDefinition},
		"no-status": {answerWith(func(_ hookCall, answer, _ map[string]any) { delete(answer, "status") }), ""},
	}
}

// TestWebhookFaults lets hooks go wrong in all ways at a time. Each degrades its own parent, whose
// child stays, and the other definition goes on. Then they work again.
func TestWebhookFaults(t *testing.T) {
	t.Parallel()
	r, s := newRig(t), newHookService(t)
	definitions := map[string]definition{healthyDefinition: s.hooked(r, healthyDefinition, nil)}
	s.answer(healthyDefinition, works)
	r.hookParent(t, healthyDefinition, healthyDefinition, "0")
	for name := range hookFaults() {
		definitions[name] = s.hooked(r, name, nil)
		s.answer(name, works)
		r.hookParent(t, name, name, "before")
	}
	r.defineAll(t, definitions)
	p := r.start(t)
	for name := range hookFaults() {
		r.page(t, name, "before")
	}
	before := r.list(t, configMaps)
	for name, fault := range hookFaults() {
		s.answer(name, fault.answer)
		r.patch(t, things, name, `{"spec": {"text": "after"}}`)
	}
	for name, fault := range hookFaults() {
		if fault.why == "" {
			r.page(t, name, "after")
			continue
		}
		r.awaitCondition(t, name, fault.why)
		r.untouched(t, configMaps, before[name+"-page"])
	}
	r.untouched(t, configMaps, before[healthyDefinition+"-page"])
	r.patch(t, things, healthyDefinition, `{"spec": {"text": "1"}}`)
	r.page(t, healthyDefinition, "1")
	if p.Exited() {
		t.Fatal("the process has ended")
	}
	for name := range hookFaults() {
		s.answer(name, works)
	}
	for name := range hookFaults() {
		r.page(t, name, "after")
		r.ready(t, name)
	}
}

// TestWebhookCircuit takes the hooks of a definition away for all its parents: they keep what
// they have, the definition is Degraded and says why, and all goes on when the hooks are back.
func TestWebhookCircuit(t *testing.T) {
	t.Parallel()
	const parents = 6
	r, s := newRig(t), newHookService(t)
	s.answer("pages", works)
	s.answer(healthyDefinition, works)
	r.defineAll(t, map[string]definition{
		"pages": s.hooked(r, "pages", nil), healthyDefinition: s.hooked(r, healthyDefinition, nil),
	})
	r.hookParent(t, healthyDefinition, healthyDefinition, "0")
	for i := range parents {
		r.hookParent(t, "pages", fmt.Sprintf("p%d", i), "before")
	}
	p := r.start(t)
	for i := range parents {
		r.page(t, fmt.Sprintf("p%d", i), "before")
	}
	before := r.list(t, configMaps)

	s.answer("pages", answerStatus(http.StatusServiceUnavailable))
	for i := range parents {
		r.patch(t, things, fmt.Sprintf("p%d", i), `{"spec": {"text": "after"}}`)
	}
	p.Await(t, "the state Degraded", func() bool { return strings.Contains(p.readyz(t), "[-] pages: Degraded since") })
	if text := p.readyz(t); !strings.Contains(text, "answered 503 Service Unavailable") || !strings.Contains(text, healthyDefinition+": Running since") {
		t.Errorf("the definitions are said to be:\n%s", text)
	}
	p.Await(t, "the open circuit in the metrics", func() bool {
		got, _ := p.Metric(t, `kooperd_webhook_circuit_open{controller="pages",hook="sync"}`)
		return got == "1"
	})
	for i := range parents {
		r.untouched(t, configMaps, before[fmt.Sprintf("p%d-page", i)])
	}
	r.patch(t, things, healthyDefinition, `{"spec": {"text": "1"}}`)
	r.page(t, healthyDefinition, "1")

	s.answer("pages", works)
	for i := range parents {
		r.page(t, fmt.Sprintf("p%d", i), "after")
	}
	p.Await(t, "the state Running", func() bool { return strings.Contains(p.readyz(t), "pages: Running since") })
}

// TestWebhookBrake lets a hook answer that no parent has children: the brake holds what is left,
// and lets go when the hook answers again.
func TestWebhookBrake(t *testing.T) {
	t.Parallel()
	const parents = 24
	r, s := newRig(t), newHookService(t)
	s.answer("pages", works)
	r.defineAll(t, map[string]definition{"pages": s.hooked(r, "pages", nil)})
	for i := range parents {
		r.hookParent(t, "pages", fmt.Sprintf("p%d", i), "x")
	}
	p := r.start(t)
	for i := range parents {
		r.page(t, fmt.Sprintf("p%d", i), "x")
	}
	s.answer("pages", answerWith(func(_ hookCall, answer, _ map[string]any) { answer["children"] = []any{} }))
	for i := range parents {
		r.patch(t, things, fmt.Sprintf("p%d", i), `{"metadata": {"annotations": {"example.com/touch": "1"}}}`)
	}
	p.Await(t, "the state PruneHeld", func() bool { return strings.Contains(p.readyz(t), "[-] pages: PruneHeld since") })
	for i := range parents {
		name := fmt.Sprintf("p%d", i)
		p.Await(t, "a call for "+name, func() bool { return s.called("pages", "sync", name) > 1 })
	}
	if left := pagesIn(r.list(t, configMaps)); left < parents/2 {
		t.Errorf("%d of %d children are left, want half of them at least", left, parents)
	}
	s.answer("pages", works)
	for i := range parents {
		r.patch(t, things, fmt.Sprintf("p%d", i), `{"metadata": {"annotations": {"example.com/touch": "2"}}}`)
	}
	r.await(t, configMaps, "all children", func(o objects) bool { return pagesIn(o) == parents })
	p.Await(t, "the end of PruneHeld", func() bool { return strings.Contains(p.readyz(t), "pages: Running since") })
}

func pagesIn(o objects) (n int) {
	for name := range o {
		if strings.HasSuffix(name, "-page") {
			n++
		}
	}
	return n
}
