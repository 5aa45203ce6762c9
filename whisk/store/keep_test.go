package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"wasmwhisk/whisk"
)

// retained remembers what was asked for.
type retained struct {
	Activations
	asked []Retention
}

var errDisk = errors.New("disk")

func (r *retained) Retain(_ context.Context, keep Retention) (int, error) {
	r.asked = append(r.asked, keep)
	if len(r.asked) == 2 {
		return 0, errDisk
	}
	return 7, nil
}

func TestKeep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour+time.Minute)
		defer cancel()
		var fake retained
		var removed []int
		var errs []error
		start := time.Now()
		Keep{Age: 24 * time.Hour, Count: 9, Every: time.Hour}.Run(ctx, &fake, func(n int, err error) {
			removed, errs = append(removed, n), append(errs, err)
		})
		since := whisk.At(start.Add(-24 * time.Hour))
		hour := whisk.Timestamp(time.Hour.Milliseconds())
		assert.Equal(t, []Retention{{Since: since, Count: 9}, {Since: since + hour, Count: 9}, {Since: since + 2*hour, Count: 9}}, fake.asked)
		assert.Equal(t, []int{7, 0, 7}, removed)
		assert.Equal(t, []error{nil, errDisk, nil}, errs)
	})
}

func TestKeepAll(t *testing.T) {
	t.Parallel()
	var fake retained
	Keep{}.Run(t.Context(), &fake, nil)
	assert.Empty(t, fake.asked)
}
