"""Mono PCM audio: conversion, resampling, decoding, encoding, trimming, loudness and pitch."""
