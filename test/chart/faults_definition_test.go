package chart

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/daemon"
)

// kindNotServed watches a kind that nobody has defined.
func kindNotServed(s *scene) func() {
	group := s.namespace + ".example.com"
	s.run(fmt.Sprintf("things: {\nwatch: {apiVersion: \"%s/v1\", kind: \"Later\", namespaces: [%q]}\n%s\n}\n", group, s.namespace, logged))
	return func() {
		shared.Apply(s.T, fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: laters.%[1]s}
spec:
  group: %[1]s
  scope: Namespaced
  names: {plural: laters, singular: later, kind: Later, listKind: LaterList}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`, group))
	}
}

// forbiddenWatch watches what the account has no right for.
func forbiddenWatch(s *scene) func() {
	s.start(daemon.Options{Config: s.write(s.secretThings()), Kubeconfig: s.account()})
	return func() { s.maySecrets() }
}

// thing makes an object of the definition of the scene.
func (s *scene) thing(name string, data map[string]string) {
	s.Helper()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"thing": "yes"}}, Data: data}
	if _, err := shared.Client().CoreV1().ConfigMaps(s.namespace).Create(s.Context(), object, metav1.CreateOptions{}); err != nil {
		s.Fatalf("creating %s: %v", name, err)
	}
}

// manyThings makes n objects.
func (s *scene) manyThings(n int) {
	s.Helper()
	for i := range n {
		s.thing(fmt.Sprint("thing-", i), nil)
	}
}

// touch changes an object.
func (s *scene) touch(ctx context.Context, name string) error {
	patch := fmt.Sprintf(`{"metadata": {"annotations": {"touched": %q}}}`, strconv.FormatInt(time.Now().UnixNano(), 36))
	_, err := shared.Client().CoreV1().ConfigMaps(s.namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// program is a handler that runs a line of shell, in which MENDED stands for whether the fault has
// been mended, and what mends it.
func (s *scene) program(line string) (handler string, mend func()) {
	path := filepath.Join(s.dir, "mended")
	line = strings.ReplaceAll(line, "MENDED", "test -e "+path)
	return fmt.Sprintf("handler: exec: command: [\"sh\", \"-c\", %q]", line), func() { writeFile(s.T, path, "") }
}

// failingProgram runs a program that fails until the object is given up.
func failingProgram(s *scene) func() {
	handler, mend := s.program("MENDED")
	s.thing("one", nil)
	s.run(s.things("retry: {maxRetries: 1, initialDelay: \"10ms\"}\n" + handler))
	return func() {
		mend()
		if err := s.touch(s.Context(), "one"); err != nil {
			s.Fatal(err)
		}
	}
}

// flakyProgram runs a program whose first try always fails.
func flakyProgram(s *scene) func() {
	handler, mend := s.program(`MENDED || test "$KOOPERD_ATTEMPT" != 0`)
	s.manyThings(3)
	s.run(s.things("resync: \"1s\"\nretry: initialDelay: \"10ms\"\n" + handler))
	return mend
}

// slowProgram runs a program that takes longer than there is time.
func slowProgram(s *scene) func() {
	handler, mend := s.program("MENDED || sleep 0.5")
	s.manyThings(10)
	s.run(s.things("resync: \"2s\"\n" + handler))
	return mend
}

// tightRate allows one call in a second for ten objects that are due in that time.
func tightRate(s *scene) func() {
	s.manyThings(10)
	p := s.run(s.things("resync: \"1s\"\nrate: {perSecond: 1, burst: 1}\n" + logged))
	return func() {
		s.write(s.things("resync: \"1s\"\n" + logged))
		s.reload(p)
	}
}

// panickingPlugin runs a plugin that panics.
func panickingPlugin(s *scene) func() {
	s.thing("one", map[string]string{"panic": "yes"})
	s.start(daemon.Options{Binary: daemon.Build(s.T, "panicker"), Config: s.write(s.things("handler: panicker: {}"))})
	return func() {
		if err := shared.Client().CoreV1().ConfigMaps(s.namespace).Delete(s.Context(), "one", metav1.DeleteOptions{}); err != nil {
			s.Fatal(err)
		}
	}
}

// failingWhere changes, in turn, an object for which the expression fails, and one for which it
// does not.
func failingWhere(s *scene) func() {
	s.thing("good", map[string]string{"a": "b"})
	s.thing("bad", nil)
	s.run(s.things("where: \"object.data.a == 'b'\"\n" + logged))
	ctx, cancel := context.WithCancel(s.Context())
	var changing sync.WaitGroup
	changing.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for turn := 0; ; turn++ {
			if err := s.touch(ctx, []string{"bad", "good"}[turn%2]); err != nil && ctx.Err() == nil {
				s.Error(err)
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	stop := func() { cancel(); changing.Wait() }
	s.Cleanup(stop)
	return stop
}
