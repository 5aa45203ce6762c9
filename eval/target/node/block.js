function main() {
  const began = Date.now();
  return new Promise((resolve) => setTimeout(() => resolve({ sleep: String(Date.now() - began) }), 300));
}
