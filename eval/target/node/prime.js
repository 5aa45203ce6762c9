// The sieve of Eratosthenes.
function main({ upperBound }) {
  const composite = new Uint8Array(Math.max(upperBound, 0) + 1);
  let result = 0;
  for (let p = 2; p <= upperBound; p++) {
    if (composite[p]) continue;
    result++;
    for (let multiple = p * p; multiple <= upperBound; multiple += p) composite[multiple] = 1;
  }
  return { result };
}
