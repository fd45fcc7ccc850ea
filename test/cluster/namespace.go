package cluster

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// Namespace makes a namespace for this test alone and returns its name, which contains the test's.
// Pods can be created in it at once. Its deletion is begun when the test ends.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	name := namespaceName(t.Name())
	c.ensureNamespace(t, name)
	t.Cleanup(func() {
		if !c.responsive() {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), requestTimeout)
		defer cancel()
		err := c.Client().CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("deleting the namespace %s: %v", name, err)
		}
	})
	return name
}

// namespaceName turns the name of a test into a unique DNS label.
func namespaceName(test string) string {
	label := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		default:
			return '-'
		}
	}, test)
	label = strings.Trim(label[:min(len(label), 40)], "-")
	return "t-" + label + "-" + unique()
}

// unique returns a short text that no other call returns.
func unique() string { return strings.ToLower(rand.Text()[:8]) }

// ensureNamespace makes a namespace unless it exists, and waits for its default service account,
// without which no Pod can be created.
func (c *Cluster) ensureNamespace(t testing.TB, name string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := c.Client().CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("creating the namespace %s: %v", name, err)
	}
	err = wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, requestTimeout, true,
		func(ctx context.Context) (bool, error) {
			_, err := c.Client().CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			return err == nil, err
		})
	if err != nil {
		t.Fatalf("waiting for the default service account of the namespace %s: %v", name, err)
	}
}
